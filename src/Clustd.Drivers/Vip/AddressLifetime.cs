namespace Clustd.Drivers.Vip;

/// <summary>
/// How long the kernel is told to keep an address, in its whole seconds. Pure. The kernel removes it between 0 and 1.25 s late (net/ipv4/devinet.c and net/ipv6/addrconf.c: it looks at most once a second, and rounds its looks to a
/// quarter of one).
/// </summary>
/// <param name="Seconds">At least 1: 0 would be no address at all.</param>
/// <param name="IsInTime">The kernel removes it before everything must be gone, whoever is killed.</param>
internal readonly record struct AddressLifetime(uint Seconds, bool IsInTime)
{
    /// <summary>By how much the kernel may be late, µs.</summary>
    public const long LatenessMaxUs = 1_250_000;

    private const long Second = 1_000_000;
    private const uint TidySeconds = 5;

    /// <summary>With a gate the lifetime only tidies up: long enough that it need not be told often.</summary>
    public static uint BesideGate(long leaseLeftUs) => (uint)(Math.Max(0, leaseLeftUs) / Second) + 1 + TidySeconds;

    /// <summary>
    /// Without a gate it is the last resort. It is rounded down so that the address never outlives the end of the lease and <paramref name="killTimeoutUs"/>, if it then lives until the lease was to be renewed twice over. If not,
    /// the lease is too short for whole seconds: then it is rounded up, so that a machine that is well does not lose the address, and what is left is a limit that is told.
    /// </summary>
    /// <param name="leaseLeftUs">Until the end of the lease, as of now.</param>
    /// <param name="renewEveryUs">How often the lease is renewed.</param>
    public static AddressLifetime Alone(long leaseLeftUs, long killTimeoutUs, long renewEveryUs)
    {
        long most = (leaseLeftUs + killTimeoutUs - LatenessMaxUs) / Second;
        if (most >= 1 && most * Second >= 2 * renewEveryUs) return new((uint)most, true);
        return new((uint)Math.Max(1, (leaseLeftUs + Second - 1) / Second), false);
    }
}
