using System.Buffers.Binary;
using Clustd.Drivers.Processes;

namespace Clustd.Drivers.Vip.Netlink;

/// <summary>A conversation with the kernel about addresses and links (rtnetlink), or about nftables (nfnetlink). One thread at a time.</summary>
internal sealed class NetlinkSocket : IDisposable
{
    public const int Route = 0, Netfilter = 12;

    private const int ErrorType = 2, DoneType = 3;
    private const ushort DumpInterrupted = 0x10;
    private const int DumpTriesMax = 5;
    private readonly byte[] _buffer = new byte[64 * 1024];
    private int _descriptor;

    private NetlinkSocket(int descriptor) => _descriptor = descriptor;

    /// <param name="protocol"><see cref="Route"/> or <see cref="Netfilter"/>.</param>
    /// <exception cref="IOException">The kernel has no such thing, or does not let us.</exception>
    public static NetlinkSocket Open(int protocol)
    {
        int descriptor = NetworkCalls.socket(NetworkCalls.AF_NETLINK, NetworkCalls.SOCK_RAW | NetworkCalls.SOCK_CLOEXEC, protocol);
        if (descriptor < 0) throw new IOException($"Cannot talk to the kernel about the network (netlink {protocol}): {LinuxCalls.ErrnoText}. It needs a kernel with network support.");
        // Answers are there when the question has been taken; this only keeps a kernel that does not answer from hanging us.
        NetworkCalls.SetReceiveTimeout(descriptor, seconds: 2);
        return new NetlinkSocket(LinuxCalls.MoveUp(descriptor));
    }

    /// <summary>Sends messages, one of which asks for an acknowledgement. Returns 0, or the first error number.</summary>
    public int Ask(NetlinkWriter messages)
    {
        if (Send(messages) is not 0 and var error) return error;
        while (true)
        {
            int count = LinuxCalls.Read(_descriptor, _buffer);
            if (count <= 0) return count < 0 ? LinuxCalls.Errno : NetworkCalls.EIO;
            foreach (var message in NetlinkReader.Messages(_buffer.AsMemory(0, count)))
            {
                if (message.Type != ErrorType || message.Body.Length < 4) continue;
                int code = -BinaryPrimitives.ReadInt32LittleEndian(message.Body.Span);
                if (code != 0)
                {
                    Drain();
                    return code;
                }
                if (message.Sequence >= messages.Acknowledged) return 0;
            }
        }
    }

    /// <summary>As <see cref="Ask"/> for messages that are taken whole and not acted upon, so that only errors are answered.</summary>
    public int Try(NetlinkWriter messages)
    {
        if (Send(messages) is not 0 and var error) return error;
        LinuxCalls.SetNonBlocking(_descriptor);
        int first = 0;
        int count;
        while ((count = LinuxCalls.Read(_descriptor, _buffer)) > 0)
        {
            foreach (var message in NetlinkReader.Messages(_buffer.AsMemory(0, count)))
                if (first == 0 && message.Type == ErrorType && message.Body.Length >= 4) first = -BinaryPrimitives.ReadInt32LittleEndian(message.Body.Span);
        }
        return first;
    }

    /// <summary>All that one question gives: a dump, or one answer (<paramref name="single"/>). <paramref name="error"/> says why there is none.</summary>
    public List<NetlinkReceived> Get(Func<NetlinkWriter> question, out int error, bool single = false)
    {
        // A dump that was changed under the kernel's hands may lack something: asked again.
        for (int i = 0; ; i++)
        {
            var answers = GetOnce(question(), single, out error, out bool isWhole);
            if (isWhole || i == DumpTriesMax) return answers;
        }
    }

    public void Dispose()
    {
        if (_descriptor >= 0) LinuxCalls.close(_descriptor);
        _descriptor = -1;
    }

    private List<NetlinkReceived> GetOnce(NetlinkWriter question, bool single, out int error, out bool isWhole)
    {
        (isWhole, error) = (true, Send(question));
        var answers = new List<NetlinkReceived>();
        while (error == 0)
        {
            int count = LinuxCalls.Read(_descriptor, _buffer);
            if (count <= 0)
            {
                error = count < 0 ? LinuxCalls.Errno : NetworkCalls.EIO;
                break;
            }
            foreach (var message in NetlinkReader.Messages(_buffer.AsSpan(0, count).ToArray()))
            {
                if ((message.Flags & DumpInterrupted) != 0) isWhole = false;
                if (message.Type == DoneType) return answers;
                if (message.Type == ErrorType)
                {
                    error = message.Body.Length >= 4 ? -BinaryPrimitives.ReadInt32LittleEndian(message.Body.Span) : NetworkCalls.EIO;
                    return answers;
                }
                answers.Add(message);
                if (single) return answers;
            }
        }
        return answers;
    }

    private int Send(NetlinkWriter messages)
    {
        byte[] bytes = messages.ToArray();
        int sent = LinuxCalls.Write(_descriptor, bytes);
        return sent == bytes.Length ? 0 : sent < 0 ? LinuxCalls.Errno : NetworkCalls.EIO;
    }

    private void Drain()
    {
        while (NetworkCalls.ReceiveNow(_descriptor, _buffer, []) > 0)
        {
        }
    }
}
