using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Clustd.Peers;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Peers;

public sealed class ClusterIdentityTests
{
    [Fact]
    public async Task The_same_secret_yields_the_same_authority_everywhere_and_another_one_another()
    {
        using var a = await ClusterIdentity.CreateAsync("a", "secret one");
        using var b = await ClusterIdentity.CreateAsync("b", "secret one");
        using var stranger = await ClusterIdentity.CreateAsync("b", "secret two");

        b.Fingerprint.ShouldBe(a.Fingerprint);
        stranger.Fingerprint.ShouldNotBe(a.Fingerprint);
        a.Fingerprint.ShouldBe("680e293c"); // computed apart (RFC 5869, SEC 1): another derivation would lock old and new versions out from each other
    }

    [Theory]
    [InlineData("cm-1")]
    [InlineData("Üben 100%/x:y")]
    [InlineData("a-rather-long-host-name.with-several-labels.in-some-data-centre.example.org-and-more")]
    public async Task A_certificate_proves_the_machine_id_whatever_it_looks_like(string id)
    {
        using var a = await ClusterIdentity.CreateAsync(id, "secret one");
        using var b = await ClusterIdentity.CreateAsync("b", "secret one");

        b.Authenticate(a.Authorities[0].Leaf.TargetCertificate, out var machineId, out _).ShouldBeTrue();
        machineId.ShouldBe(id);
    }

    [Fact]
    public async Task A_certificate_of_another_secret_is_no_machine_and_a_copied_issuer_name_does_not_help()
    {
        using var ours = await ClusterIdentity.CreateAsync("a", "secret one");
        using var theirs = await ClusterIdentity.CreateAsync("a", "secret two");
        using var forged = Forge($"CN=ca-{ours.Fingerprint}", "clustd:machine:a");

        ours.Authenticate(theirs.Authorities[0].Leaf.TargetCertificate, out _, out var problem).ShouldBeFalse();
        problem.ShouldContain($"ours {ours.Fingerprint}, theirs {theirs.Fingerprint}");
        ours.Authenticate(forged, out _, out _).ShouldBeFalse();
        ours.Authenticate(null, out _, out _).ShouldBeFalse();
    }

    [Fact]
    public void Server_names_carry_fingerprints_and_other_names_carry_none()
    {
        ClusterAuthority.ParseServerName(ClusterAuthority.ServerName(["8ad8f00d", "56f30123"])).ShouldBe(["8ad8f00d", "56f30123"]);
        ClusterAuthority.ServerName(["8ad8f00d"]).ShouldBe("ca-8ad8f00d.clustd");
        foreach (var name in new[] { null, "", "clustd", ".clustd", "example.org", "ca-8ad8f00d.example", "ca-8ad8f00.clustd", "ca-8AD8F00D.clustd", "ca-8ad8f00d..clustd" })
        {
            ClusterAuthority.ParseServerName(name).ShouldBeEmpty();
        }
    }

    private static X509Certificate2 Forge(string issuer, string uri)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var authority = new CertificateRequest(issuer, key, HashAlgorithmName.SHA256);
        authority.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        using var signer = authority.CreateSelfSigned(DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch.AddYears(200));
        var request = new CertificateRequest("CN=clustd machine", key, HashAlgorithmName.SHA256);
        var alternative = new SubjectAlternativeNameBuilder();
        alternative.AddUri(new Uri(uri));
        request.CertificateExtensions.Add(alternative.Build());
        return request.Create(signer, DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch.AddYears(100), [1, 2, 3, 4]);
    }
}
