using System.Runtime.InteropServices;
using Clustd.Drivers.Processes;

namespace Clustd.Drivers.Vip.Netlink;

/// <summary>The socket calls that .NET's own sockets do not offer: netlink, packets, raw ICMPv6. Linux only; each returns what libc returns (-1 and errno).</summary>
internal static unsafe partial class NetworkCalls
{
    public const int AF_INET = 2, AF_INET6 = 10, AF_NETLINK = 16, AF_PACKET = 17;
    public const int SOCK_DGRAM = 2, SOCK_RAW = 3, SOCK_NONBLOCK = 0x800, SOCK_CLOEXEC = 0x80000;
    public const int SOL_SOCKET = 1, SO_RCVTIMEO = 20, SO_BINDTODEVICE = 25;
    public const int IPPROTO_IPV6 = 41, IPPROTO_ICMPV6 = 58;
    public const int IPV6_UNICAST_HOPS = 16, IPV6_MULTICAST_IF = 17, IPV6_MULTICAST_HOPS = 18;
    public const int MSG_DONTWAIT = 0x40;
    public const int EPERM = 1, ENOENT = 2, EIO = 5, EACCES = 13, EEXIST = 17, ENODEV = 19, EINVAL = 22, EADDRNOTAVAIL = 99;

    public static string Text(int error) => Marshal.GetPInvokeErrorMessage(error);

    public static void SetReceiveTimeout(int descriptor, long seconds)
    {
        long* value = stackalloc long[2] { seconds, 0 };
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, value, 16);
    }

    public static bool SetOption(int descriptor, int level, int option, int value) => setsockopt(descriptor, level, option, &value, 4) == 0;

    public static bool BindToDevice(int descriptor, ReadOnlySpan<byte> name)
    {
        fixed (byte* start = name) return setsockopt(descriptor, SOL_SOCKET, SO_BINDTODEVICE, start, (uint)name.Length) == 0;
    }

    public static bool Bind(int descriptor, ReadOnlySpan<byte> address)
    {
        fixed (byte* start = address) return bind(descriptor, start, (uint)address.Length) == 0;
    }

    public static bool SendTo(int descriptor, ReadOnlySpan<byte> bytes, ReadOnlySpan<byte> address)
    {
        fixed (byte* data = bytes, to = address)
        {
            nint sent;
            do sent = sendto(descriptor, data, (nuint)bytes.Length, MSG_DONTWAIT, to, (uint)address.Length); while (sent < 0 && LinuxCalls.Errno == LinuxCalls.EINTR);
            return sent == bytes.Length;
        }
    }

    /// <summary>Bytes of one datagram, without waiting; -1 when there is none. <paramref name="from"/> gets the sender's address.</summary>
    public static int ReceiveNow(int descriptor, Span<byte> into, Span<byte> from)
    {
        uint fromLength = (uint)from.Length;
        fixed (byte* data = into, sender = from)
            return (int)recvfrom(descriptor, data, (nuint)into.Length, MSG_DONTWAIT, sender, from.Length == 0 ? null : &fromLength);
    }

    [LibraryImport("libc", SetLastError = true)] public static partial int socket(int domain, int type, int protocol);
    [LibraryImport("libc", SetLastError = true)] private static partial nint recvfrom(int descriptor, byte* into, nuint length, int flags, byte* from, uint* fromLength);
    [LibraryImport("libc", SetLastError = true)] private static partial int bind(int descriptor, byte* address, uint length);
    [LibraryImport("libc", SetLastError = true)] private static partial nint sendto(int descriptor, byte* from, nuint length, int flags, byte* to, uint toLength);
    [LibraryImport("libc", SetLastError = true)] private static partial int setsockopt(int descriptor, int level, int option, void* value, uint length);
}
