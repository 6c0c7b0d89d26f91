using Clustd.Core;
using Shouldly;
using Xunit;

namespace Clustd.Simulation;

/// <summary>The short budget of every test run. The long one: `--seeds 10000`, see Program.cs.</summary>
public sealed class SimulationTests
{
    private const ulong Seeds = 300;

    /// <summary>A planted bug must be found within so many seeds.</summary>
    private const ulong SeedsPerBug = 200;

    [Fact]
    public void No_seed_breaks_an_invariant()
    {
        var failures = new List<string>();
        Runner.RunMany(1, next => next > Seeds || failures.Count > 0, threads: 2, machines: null, PlantedBug.None, result =>
        {
            if (result.Violation is not null)
            {
                failures.Add(result.Report(null));
            }
        });
        failures.ShouldBeEmpty();
    }

    [Fact]
    public void The_same_seed_tells_the_same_story()
    {
        using var first = new StringWriter();
        using var second = new StringWriter();
        Runner.Run(7, live: first);
        Runner.Run(7, live: second);
        second.ToString().ShouldBe(first.ToString());
    }

    [Theory]
    [InlineData(nameof(PlantedBug.AgesLeftOut))]
    [InlineData(nameof(PlantedBug.EchoWithoutRound))]
    [InlineData(nameof(PlantedBug.NoKillWait))]
    [InlineData(nameof(PlantedBug.NoStretch))]
    [InlineData(nameof(PlantedBug.VoteNotPersisted))]
    public void A_planted_bug_is_found(string name)
    {
        var bug = Enum.Parse<PlantedBug>(name);
        var found = new List<string>();
        Runner.RunMany(1, next => next > SeedsPerBug || found.Count > 0, threads: 2, machines: null, bug, result =>
        {
            if (result.Violation is not null)
            {
                found.Add(result.Violation.Invariant);
            }
        });
        found.ShouldNotBeEmpty();
    }
}
