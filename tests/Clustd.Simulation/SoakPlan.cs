using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Cluster;

namespace Clustd.Simulation;

/// <summary>How a lost segment is found out about.</summary>
internal enum LossRecovery
{
    /// <summary>
    /// One later segment and a quarter of a round trip (RFC 8985, which Linux does by default), for the first transmission only; a lost retransmission waits for its
    /// timeout, which doubles. Measured beside a real kernel (decision 0007), this is a little worse than the truth at every loss from 2 to 20 %.
    /// </summary>
    Linux,

    /// <summary>Three later segments (RFC 5681): stacks of before 2016.</summary>
    Classic,
}

/// <summary>
/// A long quiet run: no machine ever fails, packets get lost and loops stall. Whatever fails over fails over for nothing. Times are µs of true time
/// unless the type says otherwise.
/// </summary>
internal sealed record SoakPlan
{
    public const long HalfDay = 12L * 3600 * 1_000_000;

    public required TimeSpan Lease { get; init; }

    public int Machines { get; init; } = 3;

    public double Days { get; init; } = 7;

    /// <summary>Share of TCP segments that get lost, each way, retransmissions included.</summary>
    public double Loss { get; init; } = 0.02;

    public LossRecovery Recovery { get; init; }

    /// <summary>Longest stall of a loop; zero: none.</summary>
    public long StallMax { get; init; } = 500_000;

    /// <summary>Mean time between two stalls of one machine.</summary>
    public long StallEvery { get; init; } = 30_000_000;

    /// <summary>Every stall is the longest one, instead of uniform up to it.</summary>
    public bool StallsAreFull { get; init; }

    /// <summary>Longest delay of a segment, one way.</summary>
    public long DelayMax { get; init; } = 5_000;

    public ulong From { get; init; } = 1;

    public int Threads { get; init; } = 1;

    /// <summary>Each false failover is printed with what happened before.</summary>
    public bool TellsStories { get; init; }

    /// <summary>The world of one half-day. Disks take 1 to 10 ms, clocks are off by up to 1 %, one service with one driver on each machine.</summary>
    public Scenario ScenarioOf(ulong seed, long length)
    {
        var chance = new Chance(seed ^ 0x50AC_0000_0000_0001);
        return new Scenario
        {
            Seed = seed,
            Machines = Machines,
            Lease = Lease,
            Services =
            [
                new ServiceDefinition { Name = new ServiceName("bot"), KillTimeout = TimeSpan.FromMilliseconds(500) < Lease ? TimeSpan.FromMilliseconds(500) : Lease / 2 },
            ],
            Drivers = [new DriverPlan(new DriverName("bot-1"), new ServiceName("bot"), 0, true, 1, 1, true, 0, 0)],
            ClockRates = [.. Enumerable.Range(0, Machines).Select(_ => (int)chance.Between(-SimulatedClock.RateErrorMax, SimulatedClock.RateErrorMax))],
            NetworkDelayMin = Math.Min(200, DelayMax),
            NetworkDelayMax = DelayMax,
            NetworkSpikeShare = 0,
            LossShare = 0, // Of messages. Here segments get lost, and TCP sends them again: StreamLoss.
            DiskDelayMin = 1_000,
            DiskDelayMax = 10_000,
            DiskSpikeShare = 0,
            StallMax = 0,
            StallShare = 0,
            JsonShare = 0,
            ChaosEnd = length,
            FaultInterval = long.MaxValue / 8,
            Patterns = ImmutableArray<string>.Empty,
            JudgesLiveness = false,
            Soak = this,
        };
    }

    public override string ToString() => FormattableString.Invariant(
        $"lease {Lease.TotalMilliseconds} ms, {Machines} machines, {Days} days, loss {Loss:P1} ({Recovery}), delay to {DelayMax / 1e3} ms, ")
        + (StallMax == 0 ? "no stalls" : FormattableString.Invariant($"stalls {(StallsAreFull ? "of" : "up to")} {StallMax / 1e3} ms every {StallEvery / 1e6} s on each machine"));
}
