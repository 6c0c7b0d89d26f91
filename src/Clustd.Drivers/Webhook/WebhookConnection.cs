using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Clustd.Drivers.Webhook;

/// <summary>How a receiver is reached: TLS verified, no redirects, no cookies, through the proxy of the environment unless it is this machine.</summary>
internal static class WebhookConnection
{
    /// <exception cref="DriverFailedException">The file of authorities cannot be used.</exception>
    public static HttpClient Open(Uri url, string? authorities)
    {
        var handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseCookies = false,
            UseProxy = !url.IsLoopback,
            AutomaticDecompression = DecompressionMethods.None,
            MaxResponseHeadersLength = 16, // kB
            PooledConnectionLifetime = TimeSpan.Zero, // Rarely used: each attempt resolves and connects anew, so a receiver that has moved is found.
        };
        if (authorities is not null) handler.SslOptions.CertificateChainPolicy = PolicyOf(authorities);
        return new HttpClient(handler) { Timeout = Timeout.InfiniteTimeSpan };
    }

    public static X509ChainPolicy PolicyOf(string authorities)
    {
        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        try
        {
            policy.CustomTrustStore.ImportFromPemFile(authorities);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw new DriverFailedException($"Cannot read who may have signed the receiver's certificate: {e.Message} Correct `ca`, or make '{authorities}' readable.", e);
        }
        if (policy.CustomTrustStore.Count == 0)
            throw new DriverFailedException($"Cannot tell who may have signed the receiver's certificate: '{authorities}' holds no certificate in PEM form. Correct `ca`.");
        return policy;
    }
}
