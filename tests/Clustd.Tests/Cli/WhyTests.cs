using Clustd.Cli;
using Clustd.Http;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Cli;

public sealed class WhyTests
{
    private static readonly DateTimeOffset Now = new(2026, 5, 1, 12, 0, 0, TimeSpan.Zero);
    private static readonly StatusView View = StatusScreenTests.Sample;

    private static readonly EventsView Events = new("linearizable", 12, 2, 20,
    [
        new(2, 1, null, "session-opened", null, "cm-1", null, "cm-1 is here."), new(5, 1, null, "running", "web", "cm-3", 6, "'web' runs on cm-3."),
        new(9, 1, Now, "session-ended", null, "cm-3", null, "cm-3 lost its session: it was not heard of for 1.02 s."), new(10, 1, Now, "vacated", "web", "cm-3", 6, "'web' has no master."),
        new(11, 1, Now, "assigned", "web", "cm-1", 7, "'web' goes to cm-1."), new(12, 1, Now, "assigned", "bot", "cm-2", 3, "'bot' goes to cm-2."),
    ]);

    // Catches: a reason without what set it off, which is an event of a machine and names no service.
    [Fact]
    public void A_service_is_explained_by_its_reason_and_by_what_led_to_it()
    {
        var why = WhyReport.Of(View, Events, "web", Now);
        why.Sentences[0].ShouldBe("'web' is running on cm-1 under token 04b115·2, for 75 s.");
        why.Sentences[1].ShouldBe("cm-1 is preferred and healthy.");
        why.Sentences[2].ShouldContain("`clustd why web` on cm-1");
        why.Events.Select(each => each.Index).ShouldBe([5, 9, 10, 11]);
    }

    [Fact]
    public void A_service_without_a_master_says_so() => WhyReport.Of(View, Events, "bot", Now).Sentences[0].ShouldBe("'bot' has no master: vacated for 340 ms.");

    [Fact]
    public void An_event_is_explained_by_what_came_before_it()
    {
        var why = WhyReport.Of(View, Events, "10", Now);
        why.Sentences.ShouldBe(["Event 10: 'web' has no master."]);
        why.Events.Select(each => each.Index).ShouldBe([5, 9, 10]);
    }

    [Fact]
    public void A_machine_is_explained_too() => WhyReport.Of(View, Events, "cm-1", Now).Sentences.ShouldBe(["cm-1 is alive, and leads.", "It is the master of web."]);

    [Theory]
    [InlineData("wbe", "there is no such service or machine")]
    [InlineData("4711", "There is no event 4711")]
    public void What_is_not_there_is_refused_with_what_is(string asked, string said) =>
        Should.Throw<CommandException>(() => WhyReport.Of(View, Events, asked, Now)).ShouldSatisfyAllConditions(
            refused => refused.ExitCode.ShouldBe(ExitCodes.Refused), refused => refused.Message.ShouldContain(said));

    [Theory]
    [InlineData(60)]
    [InlineData(100)]
    public void No_line_is_wider_than_the_window(int width)
    {
        var bench = new CommandBench(width);
        WhyCommand.Write([WhyReport.Of(View, Events, "web", Now)], bench.Terminal);
        bench.Out.Split('\n').Max(line => line.Length).ShouldBeLessThanOrEqualTo(width);
        bench.Out.ShouldContain("it was not heard of");
    }
}
