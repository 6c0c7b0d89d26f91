using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;

namespace Clustd.Drivers.Webhook;

/// <summary>What can be found out about a receiver without telling it anything: whether it is there, and who it proves to be.</summary>
internal static class WebhookTest
{
    public static async Task<DriverFinding> ReachAsync(Uri url, string? authorities, CancellationToken cancellationToken)
    {
        string subject = WebhookDriverOptions.Shown(url);
        try
        {
            using var socket = new TcpClient();
            await socket.ConnectAsync(url.IdnHost.Trim('[', ']'), url.Port, cancellationToken).ConfigureAwait(false);
            if (url.Scheme != Uri.UriSchemeHttps) return new(FindingLevel.Good, subject, $"{socket.Client.RemoteEndPoint} accepts connections; nothing was sent.");
            await using var tls = new SslStream(socket.GetStream());
            var how = new SslClientAuthenticationOptions { TargetHost = url.IdnHost };
            if (authorities is not null) how.CertificateChainPolicy = WebhookConnection.PolicyOf(authorities);
            await tls.AuthenticateAsClientAsync(how, cancellationToken).ConfigureAwait(false);
            return new(FindingLevel.Good, subject, $"{socket.Client.RemoteEndPoint} has a good certificate until {tls.RemoteCertificate?.GetExpirationDateString()}; nothing was sent.");
        }
        catch (DriverFailedException e)
        {
            return new(FindingLevel.Bad, "ca", e.Message);
        }
        catch (AuthenticationException e)
        {
            return new(FindingLevel.Bad, subject, $"TLS fails: {e.Message} Mend the certificate of the receiver, or name who has signed it in `ca`.");
        }
        catch (Exception e) when (e is SocketException or IOException)
        {
            // Where everything goes through a proxy this says nothing about a webhook.
            return new(HttpClient.DefaultProxy.IsBypassed(url) || url.IsLoopback ? FindingLevel.Bad : FindingLevel.Doubtful, subject,
                $"There is no connection: {e.Message.TrimEnd('.')}. Start the receiver, or correct the address.");
        }
    }

    public static DriverFinding SecretFinding(string? secret)
    {
        if (secret is null)
            return new(FindingLevel.Doubtful, "secret", "Requests are not signed: whoever knows the address can send them as well. Add `secret`, and let the receiver check it.");
        return WebhookSignature.KeyOf(secret) is { Length: < WebhookSignature.KeyBytesMin } key
            ? new(FindingLevel.Doubtful, "secret", $"The secret has {key.Length} bytes: fewer than {WebhookSignature.KeyBytesMin} can be guessed. `clustd secret` makes a good one.")
            : new(FindingLevel.Good, "secret", "requests are signed");
    }
}
