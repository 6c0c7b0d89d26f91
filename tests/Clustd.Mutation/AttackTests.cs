using Clustd.Tests.Running;
using Shouldly;
using Xunit;

namespace Clustd.Mutation;

/// <summary>The world that does its worst, for as long as a mutant may cost.</summary>
public sealed class AttackTests
{
    [Fact]
    public void Nothing_released_runs_and_no_two_calls_overlap_whatever_the_drivers_do()
    {
        for (ulong seed = 1; seed <= 120; seed++)
        {
            var world = new AdversarialDrivers(seed);
            world.Run(steps: 400);
            world.Violations.ShouldBeEmpty($"seed {seed}");
        }
    }

    [Fact]
    public void A_goodbye_comes_to_its_end_as_soon_as_everybody_behaves()
    {
        for (ulong seed = 1; seed <= 60; seed++)
        {
            var world = new AdversarialDrivers(seed);
            world.Run(steps: 200);
            world.SaysGoodbyeWithin(TimeSpan.FromSeconds(60)).ShouldBeTrue($"seed {seed}: {world.Describe()}");
        }
    }
}
