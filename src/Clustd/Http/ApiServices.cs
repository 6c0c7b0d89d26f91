using Clustd.Core;

namespace Clustd.Http;

/// <summary>The core's view, and when on this machine's clock it was taken.</summary>
public sealed record MachineSnapshot(MachineView View, Instant TakenAt);

/// <summary>What the API stands on. It never touches the core: it asks the decision loop, or reads what the loop has published.</summary>
public sealed record ApiServices
{
    /// <summary>A view, taken for the caller or published at least every second. May take as long as the loop does; the API gives up by itself.</summary>
    public required Func<Task<MachineSnapshot>> TakeSnapshot { get; init; }

    /// <summary>The clock of <see cref="MachineSnapshot.TakenAt"/>.</summary>
    public required Func<Instant> Now { get; init; }

    /// <summary>Hands an input to the decision loop.</summary>
    public required Action<Input> Post { get; init; }

    /// <summary>The cluster's secret: the token that opens the API is derived from it.</summary>
    public required string Secret { get; init; }

    /// <summary>Valid beside it while a rotation is under way.</summary>
    public string? OldSecret { get; init; }

    /// <summary>Names of this machine that a Host header may have on plain text, beside addresses and localhost.</summary>
    public IReadOnlyCollection<string> HostNames { get; init; } = [];

    public string Version { get; init; } = "";

    /// <summary>How the daemon's own process is doing; null: not measured.</summary>
    public Func<ProcessStatus?> Process { get; init; } = () => null;

    /// <summary>What resets the machine or the daemon when nothing decides here any more, for the status.</summary>
    public Func<IReadOnlyList<WatchdogStatus>> Watchdogs { get; init; } = () => [];

    /// <summary>By this machine's own event history: when it applied an entry of the log.</summary>
    public Func<long, DateTimeOffset?> WallClockOf { get; init; } = _ => null;

    /// <summary>Of other parts of the daemon, for the status.</summary>
    public Func<IReadOnlyList<StatusWarning>> Warnings { get; init; } = () => [];

    public TimeProvider Time { get; init; } = TimeProvider.System;
}
