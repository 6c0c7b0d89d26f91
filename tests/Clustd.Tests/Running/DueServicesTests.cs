using Clustd.Core;
using Clustd.Core.Running;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Running;

/// <summary>Which services a step looks at, and in what order: by name, as if it took all.</summary>
public sealed class DueServicesTests
{
    [Fact] // Wrong program: a daemon that has just started looks at nothing, or looks at everything for ever.
    public void At_first_all_are_due_and_after_a_pass_none()
    {
        var due = new DueServices();
        due.IsAll.ShouldBeTrue();
        due.Begin(Names("web", "bot"));
        due.IsAll.ShouldBeFalse();
        Rest(due).ShouldBe(["bot", "web"]);

        due.Begin(null);
        due.Pass.ShouldBeEmpty();
        Rest(due).ShouldBeEmpty();
        due.MarkAll();
        due.IsAll.ShouldBeTrue();
    }

    [Fact] // Wrong program: takes the marked ones in the order of their marks, twice, or again in the next pass.
    public void What_is_marked_between_passes_is_taken_once_in_the_order_of_names()
    {
        var due = Begun();
        Mark(due, "c", "a", "c", "b");
        due.IsMarked(new ServiceName("a")).ShouldBeTrue();
        due.IsMarked(new ServiceName("d")).ShouldBeFalse();

        due.Begin(Names("a", "e"));
        due.IsMarked(new ServiceName("a")).ShouldBeFalse();
        Rest(due).ShouldBe(["a", "b", "c", "e"]);
        due.Begin(null);
        Rest(due).ShouldBeEmpty();
    }

    // Wrong program: one that is marked during a pass is forgotten, taken twice, out of its order, or as late as in the next pass although its turn is still to come.
    [Theory]
    [InlineData("a", "d e", "a")] // his turn is over
    [InlineData("b", "d e", "b")] // he marks himself
    [InlineData("c", "c d e", "")] // his turn is still to come
    [InlineData("d", "d e", "")] // stands there already
    [InlineData("e", "d e", "")]
    [InlineData("f", "d e f", "")]
    public void Who_is_marked_during_a_pass_is_taken_in_it_if_his_turn_is_still_to_come(string marked, string rest, string next)
    {
        var due = Begun();
        Mark(due, "a", "b", "d", "e");
        due.Begin(null);
        Take(due).ShouldBe("a");
        Take(due).ShouldBe("b");

        Mark(due, marked);

        string.Join(' ', Rest(due)).ShouldBe(rest);
        due.Begin(null);
        string.Join(' ', Rest(due)).ShouldBe(next);
    }

    [Fact] // Wrong program: the first of a pass cannot have another one looked at in the same pass.
    public void What_the_first_of_a_pass_marks_is_taken_in_it()
    {
        var due = Begun();
        Mark(due, "a");
        due.Begin(null);
        Take(due).ShouldBe("a");
        Mark(due, "b");
        Rest(due).ShouldBe(["b"]);
    }

    [Fact] // Wrong program: believes for ever that the pass is still going on, and puts the mark into a pass that is over.
    public void A_mark_after_the_end_of_a_pass_is_for_the_next_one()
    {
        var due = Begun();
        Mark(due, "a");
        due.Begin(null);
        Rest(due);
        Mark(due, "b");
        due.Pass.ShouldBe([new ServiceName("a")]);
        due.Begin(null);
        Rest(due).ShouldBe(["b"]);
    }

    private static DueServices Begun()
    {
        var due = new DueServices();
        due.Begin([]);
        Rest(due).ShouldBeEmpty();
        return due;
    }

    private static SortedSet<ServiceName> Names(params string[] names) => [.. names.Select(name => new ServiceName(name))];

    private static void Mark(DueServices due, params string[] names)
    {
        foreach (var name in names)
        {
            due.Mark(new ServiceName(name));
        }
    }

    private static string? Take(DueServices due) => due.TryTake(out var name) ? name.Value : null;

    private static List<string> Rest(DueServices due)
    {
        var rest = new List<string>();
        while (Take(due) is { } name)
        {
            rest.Add(name);
        }

        return rest;
    }
}
