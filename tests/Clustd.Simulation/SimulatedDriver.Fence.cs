using Clustd.Core;

namespace Clustd.Simulation;

/// <summary>A driver that fences: it turns off those whom its service is taken over from, one after the other, and has started when all of them are off.</summary>
internal sealed partial class SimulatedDriver
{
    private void Fence(TriggerCall call)
    {
        var fails = chance.Happens(world.IsChaos ? plan.FailShare : 0);
        Later(chance.Skewed(200, world.Scenario.StartMax), () =>
        {
            // A start that was cancelled, or whose driver died, may still turn somebody off, as a real agent would; only its answer is void.
            foreach (var target in fails ? [] : call.TakesOverFrom)
            {
                world.Fencing.TurnOff(target, machine.Id);
            }

            Answer(call, fails ? "the fence agent did not answer" : null);
        });
    }
}
