using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;

namespace Clustd.Simulation;

/// <summary>What one simulated half-day came to. Each of the first three is a false failover.</summary>
/// <param name="SessionsEnded">Sessions that a leader ended.</param>
/// <param name="Moves">Services that were released or assigned.</param>
/// <param name="Restarts">Services that were started again, where they were or elsewhere: the app was gone for a moment.</param>
/// <param name="HoldsLapsed">Holds that were over before they were prolonged. On a machine that runs nothing that costs nothing.</param>
/// <param name="HoldLeft">The least that any machine had left of its hold when it was prolonged, µs.</param>
internal sealed record SoakResult(ulong Seed, int SessionsEnded, int Moves, long Restarts, int HoldsLapsed, int Elections, int Stalls, long HoldLeft, long Length)
{
    public bool IsFailover => SessionsEnded + Moves + Restarts > 0;
}

/// <summary>Stalls the loops of a world in which nothing else happens, and counts what fails over for nothing.</summary>
internal sealed class Soak(World world, SoakPlan plan, Chance chance)
{
    /// <summary>Until then the cluster forms and starts its service: not counted.</summary>
    private const long SettledAt = 30_000_000;

    private readonly Dictionary<MachineId, Instant> _heldUntil = [];
    private int _ended;
    private int _lapsed;
    private int _moves;
    private int _stalls;
    private long _holdLeft = long.MaxValue;
    private int _electionsBefore;
    private long _startsBefore;

    /// <summary>What led to each false failover, as a story.</summary>
    public List<string> Stories { get; } = [];

    public void Begin()
    {
        world.Events.At(SettledAt, () => (_electionsBefore, _startsBefore) = (world.Checks.Elections, world.Acting.Begun));
        if (plan.StallMax > 0)
        {
            foreach (var machine in world.Machines)
            {
                StallLater(machine);
            }
        }
    }

    public void Committed(LogEntry entry)
    {
        if (world.Events.Now < SettledAt)
        {
            return;
        }

        switch (entry.Command)
        {
            case Command.EndSession end:
                _ended++;
                Tell($"a false failover: {end.Reason}");
                break;
            case Command.Assign or Command.Release:
                _moves++;
                Tell("a service moved");
                break;
        }
    }

    /// <summary>After a step: by how much did the hold that was just prolonged escape?</summary>
    public void Stepped(SimulatedMachine machine, Instant now)
    {
        var until = machine.Core!.Hold.Until;
        if (!_heldUntil.TryGetValue(machine.Id, out var before) || before != until)
        {
            if (world.Events.Now >= SettledAt && before.Microseconds > 0)
            {
                var left = before.Microseconds - now.Microseconds;
                _holdLeft = Math.Min(_holdLeft, left);
                if (left < 0)
                {
                    _lapsed++;
                    Tell($"{machine.Id}'s hold lapsed {-left} µs ago");
                }
            }

            _heldUntil[machine.Id] = until;
        }
    }

    public SoakResult Result() => new(
        world.Scenario.Seed, _ended, _moves, world.Acting.Begun - _startsBefore, _lapsed, Math.Max(0, world.Checks.Elections - _electionsBefore), _stalls, _holdLeft, world.Events.Now);

    private void Tell(string what)
    {
        world.Note("soak", what);
        if (plan.TellsStories)
        {
            Stories.Add(string.Join('\n', world.Story()));
        }
    }

    private void StallLater(SimulatedMachine machine) => world.Events.After((long)(-Math.Log(1 - chance.Share()) * plan.StallEvery), () =>
    {
        var length = plan.StallsAreFull ? plan.StallMax : chance.Between(0, plan.StallMax);
        if (world.Events.Now > SettledAt)
        {
            _stalls++;
            world.Note("soak", $"{machine.Id}'s loop stalls for {length} µs");
            machine.Freeze(length, wholeHost: false);
        }

        world.Events.After(length, () => StallLater(machine));
    });
}
