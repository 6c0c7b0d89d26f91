using Clustd.Core;
using Clustd.Simulation;
using Shouldly;
using Xunit;

namespace Clustd.Mutation;

/// <summary>A few of the simulator's seeds: as many as a mutant may cost.</summary>
public sealed class SeedsTests
{
    [Theory]
    [InlineData(1UL)]
    [InlineData(2UL)]
    [InlineData(5UL)]
    public void A_seed_breaks_no_invariant(ulong seed) => Runner.Run(seed).Violation.ShouldBeNull();

    [Theory]
    [InlineData(11UL)]
    [InlineData(12UL)]
    [InlineData(13UL)]
    public void A_campaign_breaks_no_invariant(ulong seed) =>
        Runner.Run(Campaign.FromSeed(seed, TimeSpan.FromMinutes(1)), new Transcript(null)).Violation.ShouldBeNull();
}
