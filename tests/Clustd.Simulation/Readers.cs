using Clustd.Core;

namespace Clustd.Simulation;

/// <summary>
/// Clients that read through any machine at random while faults strike. A read that is confirmed must see all that anybody could have been told of before it
/// began: every entry that some machine had applied by then. So reads never go back either.
/// </summary>
internal sealed class Readers(World world, Chance chance)
{
    private readonly Dictionary<string, (SimulatedMachine Machine, long Newest)> _asked = [];
    private long _count;
    private long _confirmedAt;

    public long Confirmed { get; private set; }

    public long Refused { get; private set; }

    public void Begin() => world.Events.After(2_000_000, ReadAgain);

    public void Answered(SimulatedMachine machine, Output.BarrierAnswered answered)
    {
        if (!_asked.Remove(answered.Id, out var asked) || asked.Machine != machine)
        {
            throw new ViolationException(Invariant.ReadsAreLinearizable, $"{machine.Id} answers read {answered.Id}, which it was not asked or has answered before");
        }

        if (answered.Index is not { } index)
        {
            Refused++;
            return;
        }

        Confirmed++;
        _confirmedAt = world.Events.Now;
        var applied = machine.Core!.State.AppliedIndex;
        if (applied < asked.Newest || applied < index)
        {
            throw new ViolationException(
                Invariant.ReadsAreLinearizable,
                $"{machine.Id} confirms read {answered.Id} with index {index}, having applied {applied}; when it was asked, {asked.Newest} had been applied elsewhere");
        }
    }

    /// <summary>In quiet times reads are confirmed.</summary>
    public void End()
    {
        if (world.Scenario.JudgesLiveness && _confirmedAt < world.Events.Now - world.Bound)
        {
            throw new ViolationException(Invariant.ReadsAreConfirmed, $"the last of {Confirmed} reads was confirmed at {_confirmedAt} µs, {Refused} were refused");
        }
    }

    private void ReadAgain()
    {
        var machine = chance.Of(world.Machines);
        if (machine.IsRunning)
        {
            var id = $"b{++_count}";
            _asked[id] = (machine, world.Checks.Newest.AppliedIndex);
            machine.Post(new Input.BarrierRequested(id));
        }

        world.Events.After(chance.Between(world.Scenario.LeaseMicroseconds / 100, world.Scenario.LeaseMicroseconds / 4), ReadAgain);
    }
}
