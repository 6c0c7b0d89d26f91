using System.IO.Pipelines;
using System.Net;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Clustd.Peers;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;

namespace Clustd.Http;

/// <summary>
/// Opens each connection of the one port: looks at its first byte, then speaks TLS, passes plain text through, or refuses.
/// </summary>
/// <remarks>
/// The port is open to strangers, so nothing that they send may throw further than this, and each address gets one line of
/// log a minute. (Kestrel logs a stack trace when a garbage ClientHello makes SslStream throw.)
/// </remarks>
internal sealed partial class OnePortOpening(OnePortOptions options, ILogger log)
{
    private readonly Throttle _noise = new(options.Time);
    private readonly Throttle _wrongSecrets = new(options.Time);

    public async Task OpenAsync(ConnectionContext connection, ConnectionDelegate next)
    {
        var remote = (connection.RemoteEndPoint as IPEndPoint)?.Address;
        if (remote is { IsIPv4MappedToIPv6: true })
        {
            remote = remote.MapToIPv4();
        }

        switch (await FirstByteAsync(connection) is { } first ? OnePort.Judge(first, remote, (connection.LocalEndPoint as IPEndPoint)?.Address) : (OnePortGreeting?)null)
        {
            case OnePortGreeting.Tls:
                await OpenTlsAsync(connection, remote, next);
                break;
            case OnePortGreeting.Plain:
                await next(connection);
                break;
            case OnePortGreeting.PlainFromOutside:
                await RefusePlainAsync(connection, remote);
                break;
            case null:
                connection.Abort(); // silent, or gone: nothing to answer
                break;
        }
    }

    /// <summary>The first byte, left where it is; null if none came in time.</summary>
    private async Task<byte?> FirstByteAsync(ConnectionContext connection)
    {
        using var limit = Limit(connection);
        try
        {
            var input = connection.Transport.Input;
            var read = await input.ReadAsync(limit.Token);
            byte? first = read.Buffer.IsEmpty ? null : read.Buffer.FirstSpan[0];
            // Neither consumed nor examined, so that the next read returns at once.
            input.AdvanceTo(read.Buffer.Start);
            return first;
        }
        catch (Exception)
        {
            return null; // reset before it said anything, or silent for too long: port scanners do that all day
        }
    }

    private async Task OpenTlsAsync(ConnectionContext connection, IPAddress? remote, ConnectionDelegate next)
    {
        var transport = connection.Transport;
        await using var stream = new SslStream(new TransportStream(transport), leaveInnerStreamOpen: true);
        if (!await HandshakeAsync(stream, connection, remote))
        {
            connection.Abort();
            return;
        }

        var input = PipeReader.Create(stream, new StreamPipeReaderOptions(leaveOpen: true));
        var output = PipeWriter.Create(stream, new StreamPipeWriterOptions(leaveOpen: true));
        connection.Features.Set(new SecuredStream(stream));
        connection.Features.Set<ITlsConnectionFeature>(new TlsFeature(stream.RemoteCertificate as X509Certificate2));
        connection.Transport = new SecuredTransport(input, output);
        try
        {
            await next(connection);
        }
        finally
        {
            connection.Transport = transport;
            await FinishAsync(stream, input, output);
        }
    }

    private async Task<bool> HandshakeAsync(SslStream stream, ConnectionContext connection, IPAddress? remote)
    {
        using var limit = Limit(connection);
        try
        {
            var identity = await options.Identity;
            await stream.AuthenticateAsServerAsync(
                (_, hello, _, _) =>
                {
                    var answer = identity.AnswerTo(hello.ServerName, out var theirs);
                    if (theirs is not null && remote is not null && _wrongSecrets.MaySpeak(remote.ToString()))
                    {
                        options.OnWrongSecret?.Invoke(remote, theirs);
                    }

                    return ValueTask.FromResult(answer);
                },
                state: null,
                limit.Token);
            return true;
        }
        catch (Exception exception)
        {
            // Every exception, not a list: a garbage ClientHello threw NotSupportedException.
            if (_noise.MaySpeak(remote?.ToString() ?? "") && !connection.ConnectionClosed.IsCancellationRequested)
            {
                LogHandshakeFailed(log, remote, exception is OperationCanceledException ? "it did not finish in time" : exception.Message);
            }

            return false;
        }
    }

    private async Task RefusePlainAsync(ConnectionContext connection, IPAddress? remote)
    {
        var text = $"Refused: plain text from {remote}. This port speaks it with programs on its own machine only, so that no secret crosses the network in the clear. Use https:// or wss://.\n";
        var response = $"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {Encoding.UTF8.GetByteCount(text)}\r\nConnection: close\r\n\r\n{text}";
        try
        {
            await connection.Transport.Output.WriteAsync(Encoding.UTF8.GetBytes(response), connection.ConnectionClosed);
            await connection.Transport.Output.CompleteAsync();
        }
        catch (Exception)
        {
            // It did not wait for the answer.
        }

        if (_noise.MaySpeak(remote?.ToString() ?? ""))
        {
            LogPlainRefused(log, remote);
        }
    }

    private static async Task FinishAsync(SslStream stream, PipeReader input, PipeWriter output)
    {
        try
        {
            await input.CompleteAsync();
            await output.CompleteAsync();
            // close_notify: without it clients take the end of the answer for an attack (OpenSSL 3 reports it as an error).
            // A second, because the other side may have stopped reading.
            await stream.ShutdownAsync().WaitAsync(TimeSpan.FromSeconds(1));
        }
        catch (Exception)
        {
            // The connection broke before it was closed: there is nobody left to tell.
        }
    }

    private CancellationTokenSource Limit(ConnectionContext connection)
    {
        var source = CancellationTokenSource.CreateLinkedTokenSource(connection.ConnectionClosed);
        source.CancelAfter(options.OpeningTimeout);
        return source;
    }

    private sealed record SecuredTransport(PipeReader Input, PipeWriter Output) : IDuplexPipe;

    private sealed class TlsFeature(X509Certificate2? clientCertificate) : ITlsConnectionFeature
    {
        public X509Certificate2? ClientCertificate { get; set; } = clientCertificate;

        public Task<X509Certificate2?> GetClientCertificateAsync(CancellationToken cancellationToken) => Task.FromResult(ClientCertificate);
    }

    [LoggerMessage(LogLevel.Information, "A TLS handshake with {Remote} failed: {Reason} Further failures from there are not logged for a minute.")]
    private static partial void LogHandshakeFailed(ILogger logger, IPAddress? remote, string reason);

    [LoggerMessage(LogLevel.Information, "Refused plain text from {Remote}: only programs on this machine may use it. Use https:// or wss:// there.")]
    private static partial void LogPlainRefused(ILogger logger, IPAddress? remote);
}
