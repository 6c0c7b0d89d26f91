using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Clustd.Peers;

/// <summary>
/// Who this machine is, and by what it knows the others: one <see cref="ClusterAuthority"/> for the cluster secret, and during
/// a rotation a second one for the old secret. A peer is believed if one of them signed its certificate and the certificate
/// names a machine; dates do not matter.
/// </summary>
public sealed class ClusterIdentity : IDisposable
{
    /// <summary>Role and id in a certificate: <c>clustd:machine:ID</c>. Other roles would be other prefixes, and are no machine.</summary>
    internal const string RolePrefix = "clustd:machine:";

    private readonly ClusterAuthority[] _authorities; // the present secret's first; what we prefer to use

    private ClusterIdentity(string machineId, ClusterAuthority[] authorities)
    {
        MachineId = machineId;
        _authorities = authorities;
    }

    public string MachineId { get; }

    /// <summary>Names the cluster secret in messages; see <see cref="ClusterAuthority.Fingerprint"/>.</summary>
    public string Fingerprint => _authorities[0].Fingerprint;

    /// <summary>The authorities in order of preference: of the secret, then of the old secret if there is one.</summary>
    internal IReadOnlyList<ClusterAuthority> Authorities => _authorities;

    /// <summary>Makes keys and certificates on the thread pool: call it first, build the host meanwhile, then await.</summary>
    public static async Task<ClusterIdentity> CreateAsync(string machineId, string secret, string? oldSecret = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(machineId);
        ArgumentException.ThrowIfNullOrEmpty(secret);
        string[] secrets = string.IsNullOrEmpty(oldSecret) || oldSecret == secret ? [secret] : [secret, oldSecret];
        var authorities = await Task.WhenAll(secrets.Select(each => Task.Run(() => ClusterAuthority.Create(each, machineId))));
        return new ClusterIdentity(machineId, authorities);
    }

    /// <summary>
    /// Believes a certificate, or says why not: issued under one of our secrets, and naming a machine.
    /// <paramref name="problem"/> continues a sentence, as in "Refused 10.0.0.2: ...".
    /// </summary>
    public bool Authenticate(X509Certificate2? certificate, out string machineId, out string problem)
    {
        machineId = "";
        problem = "";
        if (certificate is null)
        {
            problem = "it showed no machine certificate. Only machines with the cluster secret connect here";
            return false;
        }

        if (IssuerOf(certificate) is null)
        {
            problem = DescribeStranger(ClusterAuthority.ClaimedFingerprint(certificate));
            return false;
        }

        var role = certificate.GetNameInfo(X509NameType.UrlName, forIssuer: false);
        if (!role.StartsWith(RolePrefix, StringComparison.Ordinal) || role.Length == RolePrefix.Length)
        {
            problem = $"its certificate is for '{role}', not for a machine. Only machines of the cluster connect here";
            return false;
        }

        machineId = Uri.UnescapeDataString(role[RolePrefix.Length..]);
        return true;
    }

    /// <summary>Why and what to do when the other side's secret is not ours; <paramref name="theirs"/> is its fingerprint, if it told one.</summary>
    public string DescribeStranger(string? theirs) => theirs is null
        ? "its certificate is not from a clustd cluster. Check that the address belongs to a clustd machine"
        : $"its cluster secret differs (fingerprint ours {string.Join(" or ", _authorities.Select(a => a.Fingerprint))}, theirs {theirs}). "
          + "Set the same cluster.secret on both machines; while changing it, keep the former one as cluster.old_secret";

    /// <summary>How to answer a handshake: whoever names a cluster in the SNI is asked for a certificate, a browser is not (it would ask its user).</summary>
    /// <param name="serverName">The SNI of the dialling side.</param>
    /// <param name="theirs">The fingerprint that the other side prefers, when it is a machine and none of its secrets is ours; else null.</param>
    internal SslServerAuthenticationOptions AnswerTo(string? serverName, out string? theirs)
    {
        var offered = ClusterAuthority.ParseServerName(serverName);
        var common = offered.Select(ByFingerprint).FirstOrDefault(authority => authority is not null);
        theirs = offered.Count > 0 && common is null ? offered[0] : null;
        return new SslServerAuthenticationOptions
        {
            ServerCertificateContext = (common ?? _authorities[0]).Leaf,
            EnabledSslProtocols = SslProtocols.Tls13,
            ApplicationProtocols = [SslApplicationProtocol.Http11],
            ClientCertificateRequired = offered.Count > 0,
            CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
            // A resumed session would skip the proof of who the other side is now.
            AllowTlsResume = false,
            RemoteCertificateValidationCallback = (_, certificate, _, _) =>
                certificate is null || Authenticate((X509Certificate2)certificate, out _, out string _),
        };
    }

    /// <summary>The authority of ours that signed the certificate, or null.</summary>
    internal ClusterAuthority? IssuerOf(X509Certificate2 certificate)
    {
        // The claimed issuer picks the authority to check with; the signature decides.
        var claimed = ClusterAuthority.ClaimedFingerprint(certificate);
        return claimed is not null && ByFingerprint(claimed) is { } authority && authority.Issued(certificate) ? authority : null;
    }

    /// <summary>The SNI for dialling: the preferred authority first, then the others.</summary>
    internal string ServerNameFor(ClusterAuthority preferred) =>
        ClusterAuthority.ServerName([preferred.Fingerprint, .. _authorities.Where(a => a != preferred).Select(a => a.Fingerprint)]);

    public void Dispose()
    {
        foreach (var authority in _authorities)
        {
            authority.Dispose();
        }
    }

    private ClusterAuthority? ByFingerprint(string fingerprint) => Array.Find(_authorities, authority => authority.Fingerprint == fingerprint);
}
