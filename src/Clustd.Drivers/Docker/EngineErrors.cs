using System.Net;
using System.Net.Sockets;
using System.Text.Json;

namespace Clustd.Drivers.Docker;

/// <summary>What goes wrong between clustd and an engine, as people need it: what happened; why; what to do.</summary>
internal static class EngineErrors
{
    private const int MessageCharsMax = 300;

    public static DriverFailedException NotReached(string socket, Exception e)
    {
        var cause = e;
        while (cause.InnerException is { } inner && cause is not SocketException) cause = inner;
        return (cause as SocketException)?.SocketErrorCode switch
        {
            SocketError.AccessDenied => new($"Cannot connect to the engine at {socket}: {Environment.UserName} may not. Run `clustd drivers` as root, or add the user to the group of the socket (`docker`).", e),
            SocketError.ConnectionRefused => new($"Cannot connect to the engine at {socket}: nobody listens there. Start it (`systemctl start docker`, or `podman.socket`).", e),
            { } => new($"Cannot connect to the engine at {socket}: {cause.Message}. Is Docker or Podman installed and running? Set `socket` if its socket is elsewhere.", e),
            null => NoEngine(socket, cause.Message.TrimEnd('.'), e),
        };
    }

    public static DriverFailedException NoEngine(string socket, string why, Exception? inner = null) =>
        new($"{socket} does not answer as an engine of containers does: {why}. See `docker ps` or `podman ps`, and correct `socket` if need be.", inner);

    public static DriverFailedException Refused(string verb, string container, HttpStatusCode status, string answer)
    {
        string said = Said(answer);
        return new DriverFailedException(status == HttpStatusCode.NotFound && verb != "watch" ? Missing(container) : $"The engine does not {verb} {container} ({(int)status}): {said}. See `docker inspect {container}` and `docker logs {container}`.");
    }

    public static string Missing(string container) => $"There is no container {container} on this machine. `docker ps -a` shows what there is; make it (`docker create --name {container} ...`), or correct `container`.";

    private static string Said(string answer)
    {
        string text = answer;
        try
        {
            text = JsonSerializer.Deserialize(answer, EngineJson.Default.EngineMessage)?.Message ?? answer;
        }
        catch (JsonException)
        {
            // Not JSON: as it is.
        }
        text = new string([.. text.Select(c => char.IsControl(c) ? ' ' : c)]).Trim().TrimEnd('.');
        return text.Length == 0 ? "it does not say why" : text.Length > MessageCharsMax ? text[..MessageCharsMax] + "..." : text;
    }
}
