using System.Text.Json.Serialization;
using Clustd.Drivers.Processes;

namespace Clustd.Drivers.Vip;

/// <summary>What the driver tells an address guard first, as one JSON line on its pipe. It holds the secret, so it is never on a command line.</summary>
internal sealed record AddressGuardSpec
{
    /// <summary>"10.0.0.9/24".</summary>
    public required IReadOnlyList<string> Addresses { get; init; }

    public required string Interface { get; init; }

    public required long AnnounceEveryMicros { get; init; }

    public required bool CheckDuplicate { get; init; }

    /// <summary>False: no rules of nftables; the kernel's whole seconds are then the last resort.</summary>
    public required bool UseGate { get; init; }

    public required long KillTimeoutMicros { get; init; }

    /// <summary>Until when the addresses may be here, in µs on the machine's clock.</summary>
    public required long LeaseEnd { get; init; }

    /// <summary>To whom the guard reports the stop when its driver has died; null: to nobody.</summary>
    public GuardReport? Report { get; init; }

    public IReadOnlyList<VipAddress> ParseAddresses() =>
        [.. Addresses.Select(text => VipAddress.Parse(text, out string whyNot) ?? throw new DriverFailedException($"The guard was given '{text}': {whyNot}. Guard and driver are of different versions; restart `clustd drivers`."))];
}

[JsonSerializable(typeof(AddressGuardSpec))]
internal sealed partial class AddressGuardSpecJson : JsonSerializerContext;
