using System.Net;
using Clustd.Http;
using Clustd.Hub.Legacy;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Clustd.Hub;

/// <summary>The door for drivers of 2018, shut unless <see cref="DriverHubOptions.LegacyDrivers"/> opens it.</summary>
public sealed partial class DriverHub
{
    private const string LegacyHeader = "metadata";

    /// <summary>Null: a driver of 2018 may come in from there.</summary>
    internal static ApiAnswer? WhyNotLegacy(bool isOn, IPAddress? remote, int port)
    {
        if (!isOn)
        {
            return ApiAnswer.Problem(400, "Cannot speak with this driver.", "It speaks the protocol of clustd 2018, and server.legacy_drivers is not set here.",
                "Set `legacy_drivers: true` under 'server' and restart clustd, after reading docs/legacy-drivers.md; or update the driver.");
        }

        // Not what ApiGate asks for: an own address of another interface is no loopback, and neither is TLS.
        return remote is not null && IPAddress.IsLoopback(remote)
            ? null
            : ApiAnswer.Problem(403, "Refused: a driver of clustd 2018 that does not come over loopback.", "Its protocol does not protect the cluster's secret on a network.",
                $"Run it on this machine, with ws://127.0.0.1:{port} as its host.");
    }

    private static bool IsLegacy(HttpContext context) => context.Request.Headers.ContainsKey(LegacyHeader);

    private async Task HandleLegacyAsync(HttpContext context)
    {
        if (WhyNotLegacy(_options.LegacyDrivers, context.Connection.RemoteIpAddress, context.Connection.LocalPort) is { } shut)
        {
            LogLegacyRefused(_log);
            await shut.WriteAsync(context);
            return;
        }

        var (cipher, refusal) = OpenLegacyHeader(context.Request.Headers[LegacyHeader].ToString());
        if (cipher is null)
        {
            await refusal!.WriteAsync(context);
            return;
        }

        using var socket = await context.WebSockets.AcceptWebSocketAsync(new WebSocketAcceptContext
        {
            KeepAliveInterval = _options.LegacyPing,
            KeepAliveTimeout = _options.LegacySilenceMax,
        });
        var connection = NewConnection();
        using var link = new DriverLink<LegacyMessage>(socket, new LegacySocket(socket, cipher), _options, context.RequestAborted);
        var dialogue = new LegacyDialogue(connection, link, cipher, this, _options, _log);
        await ServeAsync(connection, link, dialogue, () =>
        {
            link.Limit(_options.HandshakeLimit, "the greeting was not answered in time");
            // Where it reached us: it comes back to the address in the greeting, and from any other it would not come over loopback.
            dialogue.Greet($"ws://{new IPEndPoint(Unmapped(context.Connection.LocalIpAddress!), context.Connection.LocalPort)}");
            return link.RunAsync(dialogue.Take, dialogue.Awaits, dialogue.Gone);
        });
    }

    private (LegacyCipher? Cipher, ApiAnswer? Refusal) OpenLegacyHeader(string header)
    {
        var bytes = new byte[header.Length];
        if (!Convert.TryFromBase64String(header, bytes, out var length))
        {
            return (null, ApiAnswer.Problem(400, "Cannot speak with this driver.", $"Its '{LegacyHeader}' header is not base64.", "Use the clustd-lib of 2018, or update the driver."));
        }

        string?[] secrets = [_options.Secret, _options.OldSecret];
        foreach (var secret in secrets)
        {
            if (secret is null)
            {
                continue;
            }

            var cipher = new LegacyCipher(secret);
            if (cipher.Open(bytes.AsSpan(0, length)) is not { } opened)
            {
                continue;
            }

            return LegacyMessage.Read(opened)?.Type switch
            {
                "driver" => (cipher, null),
                "cluster" => (null, ApiAnswer.Problem(400, "Cannot speak with this machine.", "It is a daemon of clustd 2018, which cannot be part of this cluster.", "Stop clustd 2018 on all machines, and start this one there.")),
                _ => (null, ApiAnswer.Problem(400, "Cannot speak with this driver.", $"Its '{LegacyHeader}' header does not say that it is a driver.", "Use the clustd-lib of 2018, or update the driver.")),
            };
        }

        WrongSecret("a driver of 2018");
        return (null, ApiAnswer.Problem(403, "Refused: wrong secret.", $"The '{LegacyHeader}' header cannot be decrypted with the cluster's secret.", "Give the driver the value of cluster.secret of this machine."));
    }

    private static IPAddress Unmapped(IPAddress address) => address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;

    [LoggerMessage(LogLevel.Debug, "A driver of clustd 2018 was refused: server.legacy_drivers is not set, or it does not come over loopback.")]
    private static partial void LogLegacyRefused(ILogger logger);
}
