using System.Net.Sockets;
using System.Net.WebSockets;

namespace Clustd.Peers;

/// <summary>Turns what sockets throw into what an operator can use.</summary>
internal static class PeerFault
{
    /// <summary>Why a connection that was up is gone; continues "lost cm-2: ".</summary>
    public static string WhyLost(Exception exception) => SocketErrorOf(exception) switch
    {
        SocketError.TimedOut => "the network stopped carrying our messages",
        SocketError.ConnectionReset or SocketError.Shutdown => "the other side closed the connection without a goodbye",
        SocketError.HostUnreachable or SocketError.NetworkUnreachable or SocketError.HostDown or SocketError.NetworkDown => "the network has no way there any more",
        { } other => $"the connection failed ({other})",
        null when exception is PeerProtocolException => exception.Message,
        null when exception is WebSocketException { WebSocketErrorCode: WebSocketError.ConnectionClosedPrematurely } or EndOfStreamException or IOException
            => "the other side closed the connection without a goodbye",
        null => $"the connection failed ({Innermost(exception).Message})",
    };

    /// <summary>Why a dial failed, and what to do: "connection refused", "open the port or start clustd there".</summary>
    public static (string Reason, string Advice) WhyUnreachable(Exception exception) => SocketErrorOf(exception) switch
    {
        SocketError.ConnectionRefused => ("connection refused", "open the port or start clustd there"),
        SocketError.HostNotFound or SocketError.NoData or SocketError.TryAgain or SocketError.NoRecovery => ("name not found", "correct the name in cluster.machines or in DNS"),
        SocketError.HostUnreachable or SocketError.NetworkUnreachable or SocketError.HostDown or SocketError.NetworkDown or SocketError.NetworkDown
            => ("no route to it", "check the address and the network"),
        SocketError.TimedOut => NoAnswer,
        SocketError.ConnectionReset => ("closed the connection at once", "look at the log of clustd there"),
        { } other => ($"failed ({other})", "check the address and the network"),
        null when exception is TimeoutException => NoAnswer,
        null when exception is OperationCanceledException => NoAnswer,
        null when exception is PeerProtocolException => (exception.Message, "check that the address belongs to a clustd machine"),
        null => ($"is no clustd machine ({Innermost(exception).Message})", "check that the address belongs to a clustd machine"),
    };

    private static (string Reason, string Advice) NoAnswer => ("does not answer", "check that the machine is up and that its firewall lets the port through");

    private static SocketError? SocketErrorOf(Exception exception)
    {
        for (Exception? each = exception; each is not null; each = each.InnerException)
        {
            if (each is SocketException socket)
            {
                return socket.SocketErrorCode;
            }
        }

        return null;
    }

    private static Exception Innermost(Exception exception) => exception.InnerException is { } inner ? Innermost(inner) : exception;
}
