using Shouldly;
using Xunit;

namespace Clustd.Tests.Running;

/// <summary>Rules 11 to 15 against a world that does its worst. A failure prints its seed; keep it as a named test.</summary>
public sealed class LocalServicesUnderAttack
{
    [Fact]
    public void Nothing_released_runs_and_no_two_calls_overlap_whatever_the_drivers_do()
    {
        var starts = 0;
        var releases = 0;
        for (ulong seed = 1; seed <= 400; seed++)
        {
            var world = new AdversarialDrivers(seed);
            world.Run(steps: 500);
            world.Violations.ShouldBeEmpty($"seed {seed}");
            starts += world.Starts;
            releases += world.Releases;
        }

        // The world must be lively, or the test proves nothing.
        starts.ShouldBeGreaterThan(10_000);
        releases.ShouldBeGreaterThan(2_000);
    }

    // Seed 302: what time had proven over was believed to run again, because its driver got a lease for another service: a move was aborted after its release.
    [Fact]
    public void A_release_that_was_asked_for_is_not_taken_back_by_a_lease_for_another_service()
    {
        var world = new AdversarialDrivers(302);
        world.Run(steps: 500);
        world.Violations.ShouldBeEmpty();
    }

    [Fact]
    public void A_goodbye_comes_to_its_end_as_soon_as_everybody_behaves()
    {
        for (ulong seed = 1; seed <= 200; seed++)
        {
            var world = new AdversarialDrivers(seed);
            world.Run(steps: 200);
            world.SaysGoodbyeWithin(TimeSpan.FromSeconds(60)).ShouldBeTrue($"seed {seed}: {world.Describe()}");
        }
    }
}
