using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Clustd.EndToEnd.Harness;

/// <summary>
/// Connections that begin inside another network namespace. A socket belongs to the namespace of the thread that makes it, for ever; so a thread of
/// its own enters the namespace, connects, and ends. Needs root, as the namespaces do.
/// </summary>
internal static partial class NamespaceSocket
{
    private const int CLONE_NEWNET = 0x40000000;

    /// <param name="networkNamespace">A name that <c>ip netns</c> knows.</param>
    public static Task<Stream> ConnectAsync(string networkNamespace, DnsEndPoint to, CancellationToken cancellationToken)
    {
        var connected = new TaskCompletionSource<Stream>(TaskCreationOptions.RunContinuationsAsynchronously);
        new Thread(() =>
        {
            try
            {
                connected.TrySetResult(Connect(networkNamespace, to));
            }
            catch (Exception e)
            {
                connected.TrySetException(e);
            }
        }) { IsBackground = true, Name = $"into {networkNamespace}" }.Start();
        return connected.Task.WaitAsync(cancellationToken);
    }

    private static NetworkStream Connect(string networkNamespace, DnsEndPoint to)
    {
        using (var handle = File.OpenHandle($"/run/netns/{networkNamespace}"))
        {
            if (setns(handle, CLONE_NEWNET) != 0) throw new IOException($"Cannot enter the network namespace {networkNamespace}: {Marshal.GetLastPInvokeErrorMessage()}.");
        }

        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            socket.Connect(IPAddress.Parse(to.Host), to.Port);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setns(SafeHandle handle, int type);
}
