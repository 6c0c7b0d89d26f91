using System.Net.Sockets;
using System.Runtime.CompilerServices;

namespace Clustd.Peers;

/// <summary>
/// Lets what a socket has received be handled on the thread that waits for all sockets, instead of by the thread pool: a heartbeat then changes threads
/// once, to the loop, and wakes no idle workers. For connections with machines only, whose handling never waits: what strangers send must not be
/// able to keep that thread busy.
/// </summary>
/// <remarks>
/// The runtime has this switch for the whole process (DOTNET_SYSTEM_NET_SOCKETS_INLINE_COMPLETIONS) and, not public, for one socket. Where a runtime does not
/// have it any more, all works as before, and costs more: a test says so.
/// </remarks>
internal static class InlineCompletions
{
    /// <summary>False: this runtime does not know how.</summary>
    public static bool Prefer(Socket socket)
    {
        try
        {
            SetPreferInlineCompletions(socket, true);
            return true;
        }
        catch (MissingMethodException)
        {
            return false;
        }
    }

    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = "set_PreferInlineCompletions")]
    private static extern void SetPreferInlineCompletions(Socket socket, bool value);
}
