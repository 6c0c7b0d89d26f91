using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Clustd.Peers;

/// <summary>
/// The small certificate authority that one cluster secret yields, and this process's own certificate under it.
/// Every machine with the same secret derives the same key, so nobody has to hand certificates around.
/// </summary>
/// <remarks>
/// The key lives only while the certificate is made: what is kept can prove who this machine is, not sign for others.
/// Whoever sees a certificate can try secrets against it offline; the entropy rule for secrets is the defence.
/// </remarks>
public sealed class ClusterAuthority : IDisposable
{
    // The derivation is part of the wire protocol: another label is another cluster.
    private const string KeyLabel = "clustd cluster CA P-256 v1 ";
    private const string NamePrefix = "ca-";
    private const string NameSuffix = ".clustd";
    private const int FingerprintLength = 8; // hex digits: enough for a person to tell two secrets apart

    // Order n of P-256 (SEC 2, 2.4.2): a private key D must satisfy 0 < D < n.
    private static readonly byte[] CurveOrder = Convert.FromHexString("FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551");

    // Dates are ignored on both sides, so that a wrong wall clock is no outage. 9999 is RFC 5280's "no expiry" (4.1.2.5).
    private static readonly DateTimeOffset ValidFrom = new(2000, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private static readonly DateTimeOffset ValidTo = new(9999, 12, 31, 23, 59, 59, TimeSpan.Zero);

    private readonly X509Certificate2 _certificate;
    private readonly X509Certificate2 _leaf;

    private ClusterAuthority(X509Certificate2 certificate, X509Certificate2 leaf, string fingerprint)
    {
        _certificate = certificate;
        _leaf = leaf;
        Fingerprint = fingerprint;
        // Offline: a daemon that starts while the network is down must not wait for a download of anything.
        Leaf = SslStreamCertificateContext.Create(leaf, [certificate], offline: true);
    }

    /// <summary>First eight hex digits of SHA-256 over the CA's public key: names the secret without telling it.</summary>
    public string Fingerprint { get; }

    /// <summary>This process's certificate, ready for either side of a handshake.</summary>
    public SslStreamCertificateContext Leaf { get; }

    /// <summary>Derives the authority of <paramref name="secret"/> and issues <paramref name="machineId"/> a fresh certificate. CPU work of some 50 to 100 ms cold.</summary>
    public static ClusterAuthority Create(string secret, string machineId)
    {
        using var key = DeriveKey(secret);
        var fingerprint = Convert.ToHexStringLower(SHA256.HashData(key.ExportSubjectPublicKeyInfo()))[..FingerprintLength];
        var certificate = IssueSelf(key, fingerprint);
        var leaf = IssueMachine(certificate, machineId);
        return new ClusterAuthority(certificate, leaf, fingerprint);
    }

    /// <summary>
    /// The name to send as SNI: lists the fingerprints that the dialling side could use, the one it prefers first.
    /// It lets the listening side choose the right certificate during a rotation, and name both secrets when none fits.
    /// </summary>
    public static string ServerName(IEnumerable<string> fingerprints) =>
        string.Join('.', fingerprints.Select(fingerprint => NamePrefix + fingerprint)) + NameSuffix;

    /// <summary>The fingerprints in an SNI made by <see cref="ServerName"/>; empty for any other name (a browser's, say).</summary>
    public static IReadOnlyList<string> ParseServerName(string? serverName)
    {
        if (serverName is null || !serverName.EndsWith(NameSuffix, StringComparison.Ordinal))
        {
            return [];
        }

        var fingerprints = serverName[..^NameSuffix.Length].Split('.').Select(FingerprintOf).ToArray();
        return fingerprints.Any(fingerprint => fingerprint is null) ? [] : [.. fingerprints.OfType<string>()];
    }

    /// <summary>The fingerprint that <paramref name="certificate"/> names as its issuer: a claim, for error messages only. Null if it is no cluster's.</summary>
    public static string? ClaimedFingerprint(X509Certificate2 certificate) =>
        FingerprintOf(certificate.GetNameInfo(X509NameType.SimpleName, forIssuer: true));

    /// <summary>True if this authority's key signed <paramref name="certificate"/> for TLS. Dates are ignored, nothing is downloaded.</summary>
    public bool Issued(X509Certificate2 certificate)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.Add(_certificate);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        chain.ChainPolicy.VerificationFlags = X509VerificationFlags.IgnoreNotTimeValid;
        chain.ChainPolicy.ApplicationPolicy.Add(ServerAuthentication);
        chain.ChainPolicy.ApplicationPolicy.Add(ClientAuthentication);
        return chain.Build(certificate);
    }

    public void Dispose()
    {
        _leaf.Dispose();
        _certificate.Dispose();
    }

    private static ECDsa DeriveKey(string secret)
    {
        var material = Encoding.UTF8.GetBytes(secret);
        // The chance that the first candidate is out of range is 2^-32: the counter is there to be right, not to be used.
        for (var counter = 0; ; counter++)
        {
            var candidate = HKDF.DeriveKey(HashAlgorithmName.SHA256, material, CurveOrder.Length, salt: [], info: Encoding.ASCII.GetBytes(KeyLabel + counter));
            if (candidate.AsSpan().ContainsAnyExcept((byte)0) && candidate.AsSpan().SequenceCompareTo(CurveOrder) < 0)
            {
                return ECDsa.Create(new ECParameters { Curve = ECCurve.NamedCurves.nistP256, D = candidate });
            }
        }
    }

    private static X509Certificate2 IssueSelf(ECDsa key, string fingerprint)
    {
        var request = new CertificateRequest($"CN={NamePrefix}{fingerprint}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: true, pathLengthConstraint: 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign, critical: true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        return request.CreateSelfSigned(ValidFrom, ValidTo);
    }

    private static X509Certificate2 IssueMachine(X509Certificate2 authority, string machineId)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var name = new X500DistinguishedNameBuilder();
        name.AddCommonName("clustd machine"); // the id stands in the URI: a common name holds 64 characters at most
        var request = new CertificateRequest(name.Build(), key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, critical: true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([ServerAuthentication, ClientAuthentication], critical: false));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(authority, includeKeyIdentifier: true, includeIssuerAndSerial: false));
        var alternative = new SubjectAlternativeNameBuilder();
        alternative.AddUri(new Uri(ClusterIdentity.RolePrefix + Uri.EscapeDataString(machineId)));
        request.CertificateExtensions.Add(alternative.Build());
        using var certificate = request.Create(authority, ValidFrom, ValidTo, RandomNumberGenerator.GetBytes(16));
        return certificate.CopyWithPrivateKey(key);
    }

    private static string? FingerprintOf(string label) =>
        label.StartsWith(NamePrefix, StringComparison.Ordinal)
        && label.Length == NamePrefix.Length + FingerprintLength
        && label.AsSpan(NamePrefix.Length).IndexOfAnyExcept("0123456789abcdef") < 0
            ? label[NamePrefix.Length..]
            : null;

    private static Oid ServerAuthentication => new("1.3.6.1.5.5.7.3.1");

    private static Oid ClientAuthentication => new("1.3.6.1.5.5.7.3.2");
}
