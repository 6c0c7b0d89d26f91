using Clustd.Chaos.History;
using Clustd.Chaos.Plan;
using Clustd.Chaos.Run;
using Clustd.EndToEnd.Harness;

namespace Clustd.Chaos.Faults;

/// <summary>What is done to disks.</summary>
internal sealed partial class Injector
{
    private static readonly TimeSpan RejoinPatience = TimeSpan.FromSeconds(60);

    private async Task FillDiskAsync(PlannedFault planned)
    {
        if (SmallDisk.WhyNot is { } why)
        {
            Skip(planned, why);
            return;
        }

        if (await TakeAsync(planned, keeper => keeper.Disk is not null) is not { } keeper) return;
        try
        {
            var id = Begin(planned, Ids(keeper), "");
            keeper.Disk!.Fill();
            await Task.Delay(planned.For);
            keeper.Disk.Free();
            End(id);
        }
        finally
        {
            keeper.Processes.Release();
        }
    }

    private async Task DamageStoreAsync(PlannedFault planned)
    {
        if (!_stores.Wait(0))
        {
            Skip(planned, "the last damaged store has not been made up for yet");
            return;
        }

        try
        {
            if (!await AllVoteAsync())
            {
                Skip(planned, "not every machine votes just now");
                return;
            }

            if (await TakeAsync(planned) is not { } keeper) return;
            try
            {
                await DamageStoreAsync(planned, keeper);
            }
            finally
            {
                keeper.Processes.Release();
            }
        }
        finally
        {
            _stores.Release();
        }
    }

    private async Task DamageStoreAsync(PlannedFault planned, Keeper keeper)
    {
        var machine = keeper.Machine;
        var variant = StoreDamage.Variants[planned.OtherPick % StoreDamage.Variants.Count];
        var copy = variant.StartsWith("set back", StringComparison.Ordinal) ? await CopyAsync(planned, keeper) : null;
        var id = Begin(planned, Ids(keeper), variant);
        await keeper.KillAsync();
        var done = StoreDamage.Do(machine.DataDirectory, variant, planned.Pick, planned.Level, copy);
        keeper.Start();
        await Task.Delay(planned.For);
        // What an operator does with a store that cannot be read, or was set back: away with it. One that was not hurt where it matters goes on.
        if (!await IsAliveAsync(machine))
        {
            await keeper.KillAsync();
            StoreDamage.Wipe(machine.DataDirectory);
            keeper.Start();
            done += ", wiped";
        }

        var rejoined = await WithinAsync(AllVoteAsync, RejoinPatience);
        End(id, rejoined ? done : done + "; not a voter again yet");
        // Until it is, no other store may be hurt; how long that may take is for the wait at the end of the episode to judge.
        if (!rejoined) await WithinAsync(AllVoteAsync, RejoinPatience * 3);
    }

    // A copy, and then a newer store than that. Null where the leader would not notice, which is a known limit: it remembers what it was told since it was elected.
    private async Task<string?> CopyAsync(PlannedFault planned, Keeper keeper)
    {
        var machine = keeper.Machine;
        var copy = Path.Combine(machine.Home, "copy");
        if (Directory.Exists(copy)) Directory.Delete(copy, recursive: true);
        var id = Begin(planned, Ids(keeper), "down for a moment, for a copy of its store");
        await keeper.KillAsync();
        StoreDamage.Copy(machine.DataDirectory, copy);
        keeper.Start();
        await ReadyAsync(machine, TimeSpan.FromSeconds(20));
        End(id);
        var leader = await cluster.Machines.LeaderAsync();
        await _marks.WaitAsync();
        try
        {
            for (var turn = 0; turn < 3; turn++)
            {
                if (await _operator.RunAsync(machine, "drain", machine.Id) != 0 || await _operator.UndoAsync("undrain", machine.Id) != 0) break;
            }
        }
        finally
        {
            _marks.Release();
        }

        await Task.Delay(200);
        return leader is not null && leader != machine && Volatile.Read(ref _active) == 1 && await cluster.Machines.LeaderAsync() == leader ? copy : null;
    }

    private static async Task<bool> IsAliveAsync(Machine machine) => await machine.StatusAsync() is { IsKnown: true } status && status.Alive.Contains(machine.Id);

    private async Task<bool> AllVoteAsync()
    {
        foreach (var machine in cluster.Machines.All)
        {
            if (await machine.StatusAsync() is not { IsKnown: true } status || status.Voters != cluster.Keepers.Count || status.Alive.Count != cluster.Keepers.Count) return false;
        }

        return true;
    }
}
