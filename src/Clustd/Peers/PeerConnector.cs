using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Clustd.Peers;

/// <summary>
/// Dials one address: name, TCP, TLS under the cluster's own authority, WebSocket upgrade; each step with its limit. Remembers
/// what worked: the IP addresses, so that a DNS outage is no failover, and the secret in use there during a rotation.
/// </summary>
internal sealed class PeerConnector(PeerAddress address, PeerNetworkOptions options)
{
    // With good addresses at hand, a resolver that does not answer is not worth waiting for.
    private static readonly TimeSpan ResolveTimeoutWhenKnown = TimeSpan.FromMilliseconds(500);

    private IPAddress[] _known = [];
    private ClusterAuthority _authority = options.Identity.Authorities[0];

    /// <returns>The socket and the machine id that the other side's certificate proves.</returns>
    /// <exception cref="PeerStrangerException">Its certificate is not of our cluster.</exception>
    /// <exception cref="PeerUnreachableException">Anything else that keeps us from talking.</exception>
    public async Task<(PeerSocket Socket, string MachineId)> ConnectAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await DialAsync(cancellationToken);
        }
        catch (PeerOtherSecretException exception)
        {
            // The other side still uses our old secret, or uses it no longer: dial again with the certificate that fits.
            _authority = exception.Authority;
            return await DialAsync(cancellationToken);
        }
    }

    private async Task<(PeerSocket Socket, string MachineId)> DialAsync(CancellationToken cancellationToken)
    {
        var tcp = await ConnectTcpAsync(cancellationToken);
        try
        {
            using var limit = Limit(options.DialTimeout, cancellationToken);
            try
            {
                var (tls, machineId) = await SecureAsync(tcp, limit.Token);
                var socket = await UpgradeAsync(tls, limit.Token);
                InlineCompletions.Prefer(tcp);
                return (new PeerSocket(socket, options.MessageBytesMax, abort: tcp.Dispose), machineId);
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                throw new PeerUnreachableException("accepts connections but does not answer", "look at clustd there; its process may be frozen or starved");
            }
        }
        catch
        {
            tcp.Dispose();
            throw;
        }
    }

    private async Task<Socket> ConnectTcpAsync(CancellationToken cancellationToken)
    {
        Exception? last = null;
        foreach (var ip in await ResolveAsync(cancellationToken))
        {
            var tcp = new Socket(ip.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                PeerSocket.Tune(tcp, options.TcpUserTimeout);
                using var limit = Limit(options.DialTimeout, cancellationToken);
                await tcp.ConnectAsync(new IPEndPoint(ip, address.Port), limit.Token);
                _known = [ip, .. _known.Where(other => !other.Equals(ip))]; // the one that works first, next time
                return tcp;
            }
            catch (Exception exception) when (!cancellationToken.IsCancellationRequested && (exception is SocketException or OperationCanceledException))
            {
                tcp.Dispose();
                last = exception;
            }
            catch
            {
                tcp.Dispose();
                throw;
            }
        }

        throw PeerUnreachableException.From(last ?? new SocketException((int)SocketError.HostNotFound));
    }

    private async Task<IPAddress[]> ResolveAsync(CancellationToken cancellationToken)
    {
        if (IPAddress.TryParse(address.Host, out var literal))
        {
            return [literal];
        }

        using var limit = Limit(_known.Length > 0 ? ResolveTimeoutWhenKnown : options.DialTimeout, cancellationToken);
        try
        {
            var found = await Dns.GetHostAddressesAsync(address.Host, limit.Token).WaitAsync(limit.Token);
            // Order of last success, for those that the name still has.
            _known = [.. _known.Where(found.Contains), .. found.Where(ip => !_known.Contains(ip))];
        }
        catch (Exception exception) when (!cancellationToken.IsCancellationRequested && (exception is SocketException or OperationCanceledException))
        {
            if (_known.Length == 0)
            {
                throw new PeerUnreachableException("name not found", "correct the name in cluster.machines or in DNS");
            }
        }

        return _known;
    }

    private async Task<(SslStream Tls, string MachineId)> SecureAsync(Socket tcp, CancellationToken cancellationToken)
    {
        var machineId = "";
        var problem = "";
        ClusterAuthority? issuer = null;
        var tls = new SslStream(new DialledStream(tcp));
        try
        {
            await tls.AuthenticateAsClientAsync(
                new SslClientAuthenticationOptions
                {
                    TargetHost = options.Identity.ServerNameFor(_authority),
                    ClientCertificateContext = _authority.Leaf,
                    EnabledSslProtocols = SslProtocols.Tls13,
                    ApplicationProtocols = [SslApplicationProtocol.Http11],
                    CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
                    AllowTlsResume = false,
                    // Decides alone: the name in the certificate is a machine's, not a host's, and dates are ignored.
                    RemoteCertificateValidationCallback = (_, certificate, _, _) =>
                    {
                        issuer = certificate is X509Certificate2 each ? options.Identity.IssuerOf(each) : null;
                        return options.Identity.Authenticate(certificate as X509Certificate2, out machineId, out problem) && issuer == _authority;
                    },
                },
                cancellationToken);
            return (tls, machineId);
        }
        catch (AuthenticationException) when (issuer is not null && issuer != _authority && problem.Length == 0)
        {
            throw new PeerOtherSecretException(issuer);
        }
        catch (AuthenticationException) when (problem.Length > 0)
        {
            throw new PeerStrangerException($"Cannot connect to {address}: {problem}.");
        }
        catch (Exception exception) when (exception is not OperationCanceledException)
        {
            throw PeerUnreachableException.From(exception);
        }
    }

    private async Task<WebSocket> UpgradeAsync(SslStream tls, CancellationToken cancellationToken)
    {
        try
        {
            return await PeerUpgrade.RequestAsync(tls, address, cancellationToken);
        }
        catch (Exception exception) when (exception is not (OperationCanceledException or PeerUnreachableException))
        {
            throw PeerUnreachableException.From(exception);
        }
    }

    private static CancellationTokenSource Limit(TimeSpan limit, CancellationToken cancellationToken)
    {
        var source = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        source.CancelAfter(limit);
        return source;
    }
}

/// <summary>As with <see cref="Http.TransportStream"/>, nothing is read at once into nothing.</summary>
internal sealed class DialledStream(Socket socket) : NetworkStream(socket, ownsSocket: true)
{
    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        buffer.IsEmpty ? new ValueTask<int>(0) : base.ReadAsync(buffer, cancellationToken);
}

/// <summary>The other side proved that it belongs to another cluster, or to none. Three parts.</summary>
internal sealed class PeerStrangerException(string message) : Exception(message);

/// <summary>The other side uses the other one of our two secrets.</summary>
internal sealed class PeerOtherSecretException(ClusterAuthority authority) : Exception("The other side uses the other secret.")
{
    public ClusterAuthority Authority { get; } = authority;
}

/// <summary>Dialling failed; the reason continues the address.</summary>
internal sealed class PeerUnreachableException(string reason, string advice, Exception? inner = null) : Exception(reason, inner)
{
    public string Advice { get; } = advice;

    public static PeerUnreachableException From(Exception exception)
    {
        var (reason, advice) = PeerFault.WhyUnreachable(exception);
        return new PeerUnreachableException(reason, advice, exception);
    }
}
