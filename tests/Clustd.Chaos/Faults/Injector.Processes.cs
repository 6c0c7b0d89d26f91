using Clustd.Chaos.History;
using Clustd.Chaos.Plan;
using Clustd.Chaos.Run;
using Clustd.EndToEnd.Harness;

namespace Clustd.Chaos.Faults;

/// <summary>What is done to processes.</summary>
internal sealed partial class Injector
{
    private static readonly TimeSpan ExitPatience = TimeSpan.FromSeconds(20);

    private async Task KillMachineAsync(PlannedFault planned)
    {
        if (await TakeAsync(planned) is not { } keeper) return;
        try
        {
            var id = Begin(planned, Ids(keeper), "");
            await keeper.KillAsync();
            await Task.Delay(planned.For);
            keeper.Start();
            End(id);
        }
        finally
        {
            keeper.Processes.Release();
        }
    }

    private async Task KillProcessesAsync(PlannedFault planned)
    {
        if (await TakeAsync(WithProcesses(planned)) is not { } keeper) return;
        try
        {
            var id = Begin(planned, Ids(keeper), "", planned.Roles);
            var hasDaemon = planned.Roles.HasFlag(Roles.Daemon);
            if (hasDaemon) keeper.Down();
            keeper.Machine.Signal(RunningProcess.SIGKILL, RolesOf(planned.Roles));
            if (hasDaemon)
            {
                await Task.Delay(planned.For);
                keeper.Start();
            }

            End(id);
        }
        finally
        {
            keeper.Processes.Release();
        }
    }

    private async Task FreezeAsync(PlannedFault planned)
    {
        if (await TakeAsync(WithProcesses(planned)) is not { } keeper) return;
        try
        {
            var id = Begin(planned, Ids(keeper), "", planned.Roles);
            keeper.Machine.Signal(RunningProcess.SIGSTOP, RolesOf(planned.Roles));
            await Task.Delay(planned.For);
            keeper.Machine.Thaw();
            End(id);
        }
        finally
        {
            keeper.Processes.Release();
        }
    }

    private async Task StopAsync(PlannedFault planned)
    {
        if (await TakeAsync(planned) is { } keeper) await EndAndStartAsync(planned, keeper, "stop");
    }

    private async Task RestartAsync(PlannedFault planned)
    {
        if (await TakeAsync(planned) is { } keeper) await EndAndStartAsync(planned, keeper, "restart");
    }

    private async Task RollAsync(PlannedFault planned)
    {
        foreach (var keeper in cluster.Keepers)
        {
            if (!keeper.Processes.Wait(0))
            {
                Skip(planned, $"another fault holds a machine of the row");
                return;
            }

            await EndAndStartAsync(planned, keeper, "restart");
            await ReadyAsync(keeper.Machine, TimeSpan.FromSeconds(15));
        }
    }

    /// <summary>The operator ends a daemon by this command, and starts it again after a while.</summary>
    private async Task EndAndStartAsync(PlannedFault planned, Keeper keeper, string verb)
    {
        try
        {
            var id = Begin(planned, Ids(keeper), "");
            keeper.Down();
            await _operator.RunAsync(keeper.Machine, verb);
            await GoneAsync(keeper);
            await Task.Delay(planned.For);
            keeper.Start();
            End(id);
        }
        finally
        {
            keeper.Processes.Release();
        }
    }

    private async Task StarveAsync(PlannedFault planned)
    {
        if (CpuGroup.WhyNot is { } why)
        {
            Skip(planned, why);
            return;
        }

        if (await TakeAsync(planned) is not { } keeper) return;
        try
        {
            var share = 0.02 + (0.13 * planned.Level);
            using var group = CpuGroup.Make($"{cluster.Machines.Network.NameOf(keeper.Number)}-{_last}", share);
            var processes = keeper.Machine.Processes();
            var added = group.Add(processes);
            var id = Begin(planned, Ids(keeper), $"{added} of {processes.Count} processes get {share:P0} of one processor");
            await Task.Delay(planned.For);
            group.Dispose();
            End(id);
        }
        finally
        {
            keeper.Processes.Release();
        }
    }

    private async Task MoveWallClockAsync(PlannedFault planned)
    {
        if (WallClock.WhyNot is { } why)
        {
            Skip(planned, why);
            return;
        }

        if (cluster.Keepers.FirstOrDefault(keeper => keeper.WallClock is not null) is not { } keeper)
        {
            Skip(planned, "in this round no daemon runs under libfaketime");
            return;
        }

        // From a second to ten years, either way.
        var by = TimeSpan.FromSeconds(Math.Pow(10, planned.Level * 8.5) * (planned.Pick % 2 == 0 ? 1 : -1));
        var id = Begin(planned, Ids(keeper), $"by {by.TotalSeconds:0} s");
        keeper.WallClock!.Move(by);
        await Task.Delay(planned.For);
        keeper.WallClock.Move(TimeSpan.Zero);
        End(id);
    }

    // A daemon that was told to end and does not, because it is frozen, say, or waits for a stop that cannot be, is made to.
    private static async Task GoneAsync(Keeper keeper)
    {
        try
        {
            await keeper.Machine.ExitAsync(ExitPatience);
        }
        catch (TimeoutException)
        {
            keeper.Machine.Signal(RunningProcess.SIGKILL, Role.Daemon);
            await keeper.Machine.ExitAsync();
        }
    }

    // Guards and apps are where the master is.
    private static PlannedFault WithProcesses(PlannedFault planned) =>
        (planned.Roles & (Roles.Daemon | Roles.Drivers)) == Roles.None ? planned with { Aim = Aim.Master } : planned;

    private static Role[] RolesOf(Roles roles) => [.. Enum.GetValues<Role>().Where(role => roles.HasFlag(role switch
    {
        Role.Daemon => Roles.Daemon,
        Role.Drivers => Roles.Drivers,
        Role.Guard => Roles.Guard,
        _ => Roles.App,
    }))];
}
