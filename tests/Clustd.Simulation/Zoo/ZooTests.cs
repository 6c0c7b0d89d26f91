using System.Globalization;
using System.Text.RegularExpressions;
using Clustd.Core;
using Shouldly;
using Xunit;

namespace Clustd.Simulation;

/// <summary>The part of the zoo that every test run looks through, and that the zoo is whole. All of it: `./test zoo`.</summary>
public sealed class ZooTests
{
    public static TheoryData<string> Quick => [.. Zoo.All.Where(bug => bug.IsQuick).Select(bug => bug.Bug.ToString())];

    [Theory]
    [MemberData(nameof(Quick))]
    public void A_planted_bug_is_caught_by_name(string name)
    {
        var found = ZooHunt.Run(Zoo.All.Single(bug => bug.Bug.ToString() == name));
        found.Control.ShouldBeNull("the same seed, without the bug");
        found.IsAsExpected.ShouldBeTrue($"{ZooTable.Line(found)}\n{string.Join('\n', found.Others)}");
    }

    [Fact]
    public void Every_planted_bug_is_in_the_zoo_once() =>
        Zoo.All.Select(bug => bug.Bug).Order().ShouldBe(Enum.GetValues<PlantedBug>().Where(bug => bug != PlantedBug.None));

    [Fact]
    public void Every_rule_of_the_lease_argument_is_broken_by_one_that_is_caught()
    {
        var caught = Zoo.All.Where(bug => bug.CaughtBy is not null).SelectMany(bug => Regex.Matches(bug.Rule, @"\b\d+\b").Select(match => int.Parse(match.Value, CultureInfo.InvariantCulture)));
        caught.Distinct().Order().ShouldBe(Enumerable.Range(1, 17));
    }

    [Fact]
    public void The_table_in_the_documents_is_the_zoo() =>
        File.ReadAllText(Path.Combine(Root(), "docs", "zoo.md")).ShouldContain(ZooTable.Of(Zoo.All), Case.Sensitive, "`./test zoo --markdown` prints the table");

    private static string Root()
    {
        var directory = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(directory, "ARCHITECTURE.md")))
        {
            directory = Path.GetDirectoryName(directory) ?? throw new DirectoryNotFoundException("The repository is not above this program. Run the tests from their build directory.");
        }

        return directory;
    }
}
