using System.Buffers.Binary;
using System.Net;
using System.Runtime.InteropServices;

namespace Clustd.EndToEnd.Harness;

/// <summary>Somebody has spoken as the address: an ARP message, a ping that was answered, a neighbour advertisement. At is µs of CLOCK_MONOTONIC, when it arrived.</summary>
public readonly record struct Answer(string Mac, string Kind, long At);

/// <summary>
/// Asks every machine by its MAC, whatever anybody's caches say, whether it answers for an address: by ARP and ping, and by ping for IPv6. Sits on a neighbour, writes frames of its own, and knows nothing of clustd. A machine that has
/// the address on its interface, and does not answer, is not heard.
/// </summary>
public sealed partial class AddressWatch : IDisposable
{
    private const int AF_PACKET = 17, SOCK_RAW = 3, SOL_SOCKET = 1, SO_RCVTIMEO = 20, SOL_PACKET = 263, PACKET_IGNORE_OUTGOING = 23, ETH_P_ALL = 3, SIOCGSTAMPNS = 0x8907, CLONE_NEWNET = 0x40000000;
    private const int AskEveryMs = 8;

    private readonly Lock _gate = new();
    private readonly List<Answer> _answers = [];
    private readonly IPAddress _address4, _address6, _own4, _own6;
    private readonly byte[] _ownMac;
    private readonly IReadOnlyList<byte[]> _macs;
    private readonly string _namespace;
    private readonly Thread _thread;
    private readonly TaskCompletionSource _ready = new();
    private volatile bool _isOver;
    private long _heardUntil;

    /// <param name="networkNamespace">The neighbour's.</param>
    /// <param name="macs">Of the machines that are asked.</param>
    public AddressWatch(string networkNamespace, string ownMac, string own4, string own6, IEnumerable<string> macs, string address4, string address6)
    {
        (_namespace, _ownMac, _macs) = (networkNamespace, Bytes(ownMac), [.. macs.Select(Bytes)]);
        (_own4, _own6, _address4, _address6) = (IPAddress.Parse(own4), IPAddress.Parse(own6), IPAddress.Parse(address4), IPAddress.Parse(address6));
        _thread = new Thread(Work) { IsBackground = true, Name = $"watch {address4}" };
        _thread.Start();
        _ready.Task.GetAwaiter().GetResult();
    }

    public IReadOnlyList<Answer> Answers
    {
        get
        {
            lock (_gate) return [.. _answers];
        }
    }

    public IReadOnlyList<Answer> Since(long at) => [.. Answers.Where(answer => answer.At >= at)];

    /// <summary>What was said in the last tenth of a second that somebody spoke in, if that was just now; else nothing.</summary>
    public IReadOnlyList<Answer> Latest => Answers is [.., var last] && last.At > ActObserver.Now - 1_000_000 ? Since(last.At - 100_000) : [];

    /// <summary>Waits until all that has arrived by now is read: on a busy machine this thread is late.</summary>
    public Task CatchUpAsync()
    {
        var now = ActObserver.Now;
        return Eventually.IsTrue(() => Volatile.Read(ref _heardUntil) > now, "what has arrived is read");
    }

    public void Dispose()
    {
        _isOver = true;
        _thread.Join();
    }

    private unsafe void Work()
    {
        try
        {
            using (var handle = File.OpenHandle($"/run/netns/{_namespace}"))
                if (setns(handle, CLONE_NEWNET) != 0) throw new IOException($"Cannot enter {_namespace}: {Marshal.GetLastPInvokeErrorMessage()}.");
            var socket = Open();
            _ready.SetResult();
            var buffer = new byte[2048];
            ushort sequence = 0;
            long askAt = 0;
            while (!_isOver)
            {
                if (Environment.TickCount64 >= askAt)
                {
                    askAt = Environment.TickCount64 + AskEveryMs;
                    sequence++;
                    foreach (var mac in _macs)
                        foreach (var frame in (byte[][])[ArpRequest(mac), Ping4(mac, sequence), Ping6(mac, sequence)])
                            fixed (byte* start = frame) send(socket, start, (nuint)frame.Length, 0);
                }

                nint count;
                var reading = ActObserver.Now;
                fixed (byte* start = buffer) count = recv(socket, start, (nuint)buffer.Length, 0);
                if (count <= 0) Volatile.Write(ref _heardUntil, reading);
                else Hear(buffer.AsSpan(0, (int)count), ArrivedAt(socket));
            }

            close(socket);
        }
        catch (Exception e)
        {
            _ready.TrySetException(e);
        }
    }

    private static unsafe int Open()
    {
        var socket = AddressWatch.socket(AF_PACKET, SOCK_RAW, 0);
        var address = new byte[20];
        BinaryPrimitives.WriteUInt16LittleEndian(address, AF_PACKET);
        BinaryPrimitives.WriteUInt16BigEndian(address.AsSpan(2), ETH_P_ALL);
        BinaryPrimitives.WriteInt32LittleEndian(address.AsSpan(4), if_nametoindex("eth0"));
        long* patience = stackalloc long[2] { 0, 2_000 };
        fixed (byte* start = address)
            if (socket < 0 || bind(socket, start, 20) != 0) throw new IOException($"Cannot watch frames: {Marshal.GetLastPInvokeErrorMessage()}.");
        _ = setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, patience, 16);
        int yes = 1;
        _ = setsockopt(socket, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, 4);
        return socket;
    }

    // The kernel's word, on the wall clock: this thread may have been kept waiting.
    private static unsafe long ArrivedAt(int socket)
    {
        long* time = stackalloc long[2];
        if (ioctl(socket, SIOCGSTAMPNS, time) != 0) return ActObserver.Now;
        var waitedUs = ((DateTime.UtcNow - DateTime.UnixEpoch).Ticks / 10) - (time[0] * 1_000_000) - (time[1] / 1000);
        return ActObserver.Now - Math.Max(0, waitedUs);
    }

    private void Hear(ReadOnlySpan<byte> frame, long at)
    {
        if (frame.Length < 42 || frame[6..12].SequenceEqual(_ownMac)) return;
        var kind = BinaryPrimitives.ReadUInt16BigEndian(frame[12..]) switch
        {
            0x0806 when Is(_address4, frame[28..32]) => "arp",
            0x0800 when Is(_address4, frame[26..30]) => "ping",
            0x86dd when frame.Length >= 54 && Is(_address6, frame[22..38]) => "ping6",
            _ => null,
        };
        if (kind is null) return;
        lock (_gate) _answers.Add(new Answer(Text(frame[6..12]), kind, at));
    }

    private byte[] ArpRequest(byte[] to) =>
        [.. to, .. _ownMac, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, .. _ownMac, .. _own4.GetAddressBytes(), 0, 0, 0, 0, 0, 0, .. _address4.GetAddressBytes()];

    private byte[] Ping4(byte[] to, ushort sequence)
    {
        byte[] echo = WithSum([8, 0, 0, 0, 0x12, 0x34, (byte)(sequence >> 8), (byte)sequence], 2, 0);
        byte[] header = WithSum([0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 1, 0, 0, .. _own4.GetAddressBytes(), .. _address4.GetAddressBytes()], 10, 0);
        return [.. to, .. _ownMac, 8, 0, .. header, .. echo];
    }

    private byte[] Ping6(byte[] to, ushort sequence)
    {
        byte[] addresses = [.. _own6.GetAddressBytes(), .. _address6.GetAddressBytes()];
        byte[] echo = WithSum([128, 0, 0, 0, 0x12, 0x34, (byte)(sequence >> 8), (byte)sequence], 2, Sum([.. addresses, 0, 0, 0, 8, 0, 0, 0, 58]));
        return [.. to, .. _ownMac, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 58, 64, .. addresses, .. echo];
    }

    private static byte[] WithSum(byte[] bytes, int at, uint more)
    {
        var sum = Sum(bytes) + more;
        while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(at), (ushort)~sum);
        return bytes;
    }

    private static uint Sum(byte[] bytes)
    {
        uint sum = 0;
        for (var i = 0; i < bytes.Length; i += 2) sum += BinaryPrimitives.ReadUInt16BigEndian(bytes.AsSpan(i));
        return sum;
    }

    private static bool Is(IPAddress address, ReadOnlySpan<byte> bytes) => bytes.SequenceEqual(address.GetAddressBytes());

    private static byte[] Bytes(string mac) => [.. mac.Split(':').Select(part => Convert.ToByte(part, 16))];

    private static string Text(ReadOnlySpan<byte> mac) => string.Join(':', mac.ToArray().Select(part => part.ToString("x2")));

    [LibraryImport("libc", SetLastError = true)] private static partial int setns(SafeHandle handle, int type);
    [LibraryImport("libc", SetLastError = true)] private static partial int socket(int domain, int type, int protocol);
    [LibraryImport("libc", SetLastError = true)] private static unsafe partial int bind(int descriptor, byte* address, uint length);
    [LibraryImport("libc", SetLastError = true)] private static unsafe partial int setsockopt(int descriptor, int level, int option, void* value, uint length);
    [LibraryImport("libc", SetLastError = true)] private static unsafe partial nint send(int descriptor, byte* from, nuint length, int flags);
    [LibraryImport("libc", SetLastError = true)] private static unsafe partial nint recv(int descriptor, byte* into, nuint length, int flags);
    [LibraryImport("libc", SetLastError = true)] private static unsafe partial int ioctl(int descriptor, nuint request, long* value);
    [LibraryImport("libc")] private static partial int close(int descriptor);
    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)] private static partial int if_nametoindex(string name);
}
