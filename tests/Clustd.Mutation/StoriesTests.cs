using Clustd.Simulation.Scripts;
using Xunit;

namespace Clustd.Mutation;

/// <summary>The stories of the simulator, without those that need the core broken on purpose: here it is broken in another way.</summary>
public sealed class StoriesTests
{
    public static TheoryData<string> Stories => [.. ScriptFiles.Names];

    [Theory]
    [MemberData(nameof(Stories))]
    public void A_story_goes_as_it_is_written(string name)
    {
        var text = ScriptFiles.Read(name);
        if (ScriptText.Difference(text.File, text.Golden, Script.Read(text).Play()) is { } difference)
        {
            Assert.Fail(difference);
        }
    }
}
