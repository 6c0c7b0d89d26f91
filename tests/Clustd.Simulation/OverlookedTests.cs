using Clustd.Core;
using Shouldly;
using Xunit;

namespace Clustd.Simulation;

/// <summary>
/// A step looks only at the local services that something has happened to. Every seed of every run also looks at all the others, again and again, and fails if
/// anything comes of it; here is the proof that this would show, and that looking makes no difference.
/// </summary>
public sealed class OverlookedTests
{
    [Theory]
    [InlineData(nameof(PlantedBug.DeadlineOverlooked))]
    [InlineData(nameof(PlantedBug.AnswerOverlooked))]
    public void A_service_that_is_not_looked_at_when_it_must_be_is_found(string name)
    {
        var bug = Enum.Parse<PlantedBug>(name);
        var found = new List<string>();
        Runner.RunMany(1, next => next > 50 || found.Count > 0, threads: 2, machines: null, bug, result =>
        {
            if (result.Violation is { } violation && violation.Message.Contains("was overlooked", StringComparison.Ordinal))
            {
                found.Add(violation.Message);
            }
        });
        found.ShouldNotBeEmpty();
    }

    [Fact]
    public void Looking_only_at_what_is_due_tells_the_same_story_as_looking_at_all()
    {
        for (var seed = 1UL; seed <= 20; seed++)
        {
            StoryOf(seed, looksAtAll: false).ShouldBe(StoryOf(seed, looksAtAll: true), $"seed {seed}");
        }
    }

    private static string StoryOf(ulong seed, bool looksAtAll)
    {
        using var story = new StringWriter();
        new World(Scenario.FromSeed(seed) with { ChecksWhatIsOverlookedEvery = looksAtAll ? 1 : 0 }, new Transcript(story)).Run();
        return story.ToString();
    }
}
