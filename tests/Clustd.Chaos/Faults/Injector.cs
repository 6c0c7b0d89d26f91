using System.Collections.Immutable;
using Clustd.Chaos.History;
using Clustd.Chaos.Plan;
using Clustd.Chaos.Run;
using Clustd.EndToEnd.Harness;

namespace Clustd.Chaos.Faults;

/// <summary>Does what was planned: chooses the machine, brings the fault about, undoes it, and writes both down.</summary>
internal sealed partial class Injector(Cluster cluster)
{
    private readonly SemaphoreSlim _stores = new(1); // One damaged store at a time: two can be more than a majority is able to make up for.
    private readonly Operator _operator = new(cluster);
    private int _last;
    private int _active;

    /// <summary>The harness could not do what it wanted to; the cluster's state is not known any more.</summary>
    public bool HasFailed { get; private set; }

    /// <summary>From the fault's beginning to its end.</summary>
    public async Task RunAsync(PlannedFault planned)
    {
        await Task.Delay(planned.After);
        Interlocked.Increment(ref _active);
        try
        {
            await (planned.Kind switch
            {
                FaultKind.MachineKilled => KillMachineAsync(planned),
                FaultKind.ProcessesKilled => KillProcessesAsync(planned),
                FaultKind.Frozen => FreezeAsync(planned),
                FaultKind.Stopped => StopAsync(planned),
                FaultKind.Restarted => RestartAsync(planned),
                FaultKind.RollingRestart => RollAsync(planned),
                FaultKind.Starved => StarveAsync(planned),
                FaultKind.DiskFull => FillDiskAsync(planned),
                FaultKind.StoreDamaged => DamageStoreAsync(planned),
                FaultKind.WallClockMoved => MoveWallClockAsync(planned),
                FaultKind.CableCut => CutCableAsync(planned),
                FaultKind.SilentDrop => DropSilentlyAsync(planned),
                FaultKind.OneWayDrop => DropOneWayAsync(planned),
                FaultKind.PartialMesh => CutPairAsync(planned),
                FaultKind.Loss => LosePacketsAsync(planned),
                FaultKind.Drained => DrainAsync(planned),
                FaultKind.Paused => PauseAsync(planned),
                FaultKind.Moved => MoveAsync(planned),
                FaultKind.LeaderMoved => MoveLeaderAsync(planned),
                _ => throw new ArgumentOutOfRangeException(nameof(planned), planned.Kind, "Nobody knows how to do this."),
            });
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or System.ComponentModel.Win32Exception or TimeoutException or InvalidOperationException)
        {
            // It may be half done, and then it cannot be undone: this cluster is given up.
            HasFailed = true;
            Skip(planned, $"the harness failed: {e.Message}");
            Console.WriteLine(e);
        }
        finally
        {
            Interlocked.Decrement(ref _active);
        }
    }

    private int Begin(PlannedFault planned, IEnumerable<string> machines, string detail, Roles roles = Roles.None)
    {
        var id = Interlocked.Increment(ref _last);
        cluster.History.Add(new FaultBegan(ActObserver.Now, id, planned.Kind, [.. machines], roles, detail));
        return id;
    }

    private void End(int id, string detail = "") => cluster.History.Add(new FaultEnded(ActObserver.Now, id, detail));

    private void Skip(PlannedFault planned, string why) => cluster.History.Add(new FaultSkipped(ActObserver.Now, planned.Kind, why));

    private async Task<Keeper> AimAsync(PlannedFault planned)
    {
        var service = Cluster.Services[planned.Pick % Cluster.Services.Count];
        var id = planned.Aim switch
        {
            Aim.Master => cluster.Machines.Acts.Newest(service)?.Machine,
            Aim.Leader => (await cluster.Machines.LeaderAsync())?.Id,
            _ => null,
        };
        return cluster.Keepers.FirstOrDefault(keeper => keeper.Id == id) ?? cluster.Keepers[planned.Pick % cluster.Keepers.Count];
    }

    // The machine that was aimed at, or the next one to whose processes nothing is being done; null: there is none.
    private async Task<Keeper?> TakeAsync(PlannedFault planned, Func<Keeper, bool>? fits = null) => Take(planned, await AimAsync(planned), keeper => keeper.Processes, fits);

    private async Task<Keeper?> TakeCableAsync(PlannedFault planned) => Take(planned, await AimAsync(planned), keeper => keeper.Cable, null);

    private Keeper? Take(PlannedFault planned, Keeper first, Func<Keeper, SemaphoreSlim> of, Func<Keeper, bool>? fits)
    {
        for (var step = 0; step < cluster.Keepers.Count; step++)
        {
            var keeper = cluster.Keepers[(first.Number - 1 + step) % cluster.Keepers.Count];
            if ((fits is null || fits(keeper)) && of(keeper).Wait(0)) return keeper;
        }

        Skip(planned, "another fault holds every machine that it could be");
        return null;
    }

    // Waits until the daemon takes part again, as far as that can be said while others are ill: the caller goes on in any case.
    private static Task ReadyAsync(Machine machine, TimeSpan patience) => WithinAsync(
        async () => await machine.StatusAsync() is { IsKnown: true } status && status.Alive.Contains(machine.Id) && status.Drivers.Count >= Cluster.Services.Count && !status.Warnings.Contains("restarting"), patience);

    private static async Task<bool> WithinAsync(Func<Task<bool>> isSo, TimeSpan patience)
    {
        var until = ActObserver.Now + (long)patience.TotalMicroseconds;
        while (!await isSo())
        {
            if (ActObserver.Now > until) return false;
            await Task.Delay(50);
        }

        return true;
    }

    private static ImmutableArray<string> Ids(params IEnumerable<Keeper> keepers) => [.. keepers.Select(keeper => keeper.Id)];
}
