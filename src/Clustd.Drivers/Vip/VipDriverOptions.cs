namespace Clustd.Drivers.Vip;

/// <summary>The vip driver: addresses that are on an interface of the master, and nowhere else.</summary>
public sealed record VipDriverOptions : DriverOptions
{
    public static readonly TimeSpan AnnounceEveryDefault = TimeSpan.FromSeconds(60);

    private const int InterfaceNameMax = 15; // IFNAMSIZ, less the NUL

    public override string Kind => "vip";

    // By a process of its own with a timer of its own, and by the kernel, which closes the gate when nobody refreshes it.
    public override bool StopsForCertain => true;

    public required IReadOnlyList<VipAddress> Addresses { get; init; }

    /// <summary>"eth0".</summary>
    public required string Interface { get; init; }

    /// <summary>How often neighbours are told again where the addresses are; zero: only when they were taken.</summary>
    public TimeSpan AnnounceEvery { get; init; } = AnnounceEveryDefault;

    /// <summary>Whether to ask, before an address is taken, if another machine answers for it.</summary>
    public bool CheckDuplicate { get; init; } = true;

    /// <summary>Whether the kernel is to close the addresses by rules of nftables when everybody who could remove them is killed. False: it removes them itself, some seconds late.</summary>
    public bool UseGate { get; init; } = true;

    public override IEnumerable<string> Unprinted => Addresses.Select(address => address.ToString());

    /// <summary>Three-part messages about what does not fit together; empty when all is well.</summary>
    public IReadOnlyList<string> Validate()
    {
        var errors = new List<string>();
        if (Addresses.Count == 0)
            errors.Add("The vip driver has no address: there is nothing to move. Add `addresses: [10.0.0.9/24]`.");
        if (WhyNotInterface(Interface) is { } why)
            errors.Add($"The vip driver's interface is '{Interface}': {why}. `ip link` shows the names.");
        return errors;
    }

    /// <summary>Null: a name that the kernel may know.</summary>
    public static string? WhyNotInterface(string name) =>
        name.Length is 0 or > InterfaceNameMax ? $"a name has 1 to {InterfaceNameMax} characters"
        : name is "." or ".." || name.Any(c => c is '/' or ':' || char.IsWhiteSpace(c) || c is < '!' or > '~') ? "a name has no blanks, slashes or colons"
        : null;
}
