using Clustd.Cli;
using Clustd.Http;
using Shouldly;
using Spectre.Console;
using Xunit;

namespace Clustd.Tests.Cli;

public sealed class WatchTests
{
    private static readonly DateTimeOffset At = new(2026, 5, 1, 12, 0, 0, TimeSpan.Zero);
    private static readonly StatusView Healthy = StatusScreenTests.Sample;

    [Fact]
    public void What_the_daemon_has_just_said_is_shown_as_it_is() =>
        new WatchedStatus(Healthy, At, null).At(At.AddMilliseconds(900)).ShouldBe(Healthy);

    // Catches: a watch on which a daemon that has died, or is frozen, leaves its last words standing as if they were true.
    [Theory]
    [InlineData("No daemon answers at 127.0.0.1:3001: connection refused.", 1)]
    [InlineData(null, 1100)]
    public void What_is_older_than_the_lease_or_was_said_by_a_daemon_that_is_gone_is_unknown(string? problem, int ms)
    {
        var shown = new WatchedStatus(Healthy, At, problem).At(At.AddMilliseconds(ms)).ShouldNotBeNull();
        shown.IsKnown.ShouldBeFalse();
        shown.Leader.ShouldBe(StatusView.Unknown);
        shown.KnownAgoMs.ShouldBe(12 + ms);
        shown.Services[0].ShouldSatisfyAllConditions(
            web => web.Master.ShouldBe(StatusView.Unknown), web => web.Token.ShouldBeNull(), web => web.State.ShouldBe(StatusView.Unknown),
            web => web.LastKnown.ShouldBe(new ServiceLastKnown(12 + ms, "cm-1", 1882686319755266, "running", "cm-1 is preferred and healthy.")));
        shown.Machines.ShouldAllBe(machine => machine.State == StatusView.Unknown && machine.IsLeader == null);
        shown.Drivers.ShouldBeEmpty();
        var text = Painted(shown);
        text.ShouldContain("Last known");
        text.ShouldNotContain("running  75 s");
        text.ShouldNotContain("runs nothing");
    }

    [Fact]
    public void Ages_are_no_news_and_everything_else_is()
    {
        var before = WatchedStatus.News(Healthy, showsWhole: false);
        WatchedStatus.News(Healthy with { KnownAgoMs = 40, SessionLeftMs = 700 }, showsWhole: false).ShouldBe(before);
        before.ShouldContain(("service web", "running on cm-1, token 04b115·2. cm-1 is preferred and healthy."));
        WatchedStatus.News(Healthy with { Leader = "cm-2" }, showsWhole: false).Except(before).ShouldBe([("leader", "cm-2, term 3")]);
        WatchedStatus.News(Healthy with { Warnings = [] }, showsWhole: false).Count.ShouldBe(before.Count - 1);
    }

    // Catches: a frame that scrolls the window, or that leaves a piece of the one before on the screen.
    [Fact]
    public void A_frame_is_drawn_over_the_one_before_and_never_higher_than_the_window()
    {
        LiveScreen.Frame(["a", "b"], 24).ShouldBe("\e[?2026h\e[Ha\e[K\r\nb\e[K\e[J\e[?2026l");
        LiveScreen.Frame([.. Enumerable.Range(1, 9).Select(number => $"{number}")], 3).ShouldBe("\e[?2026h\e[H1\e[K\r\n2\e[K\r\n(7 more lines: make the window higher)\e[K\e[J\e[?2026l");
    }

    [Theory]
    [InlineData(60)]
    [InlineData(100)]
    [InlineData(160)]
    public void A_frame_fits_its_window_and_has_no_colour_where_none_is_wanted(int width)
    {
        var lines = LiveScreen.Lines(new CommandBench(width).Terminal, width, console => StatusScreen.Paint(Healthy, console, At, showsWhole: false));
        lines.Max(line => line.Length).ShouldBeLessThanOrEqualTo(width);
        lines.ShouldAllBe(line => !line.Contains('\e'));
    }

    [Theory]
    [InlineData(5, false, "5")]
    [InlineData(1882686319755266, false, "04b115·2")]
    [InlineData(1882686319755266, true, "1882686319755266")]
    public void A_token_is_short_for_people_and_whole_for_who_asks(long token, bool isWhole, string text) => TokenText.Of(token, isWhole).ShouldBe(text);

    private static string Painted(StatusView view)
    {
        using var text = new StringWriter();
        StatusScreen.Paint(view, new CommandBench(160).Terminal.OpenTables(text, 160), At, showsWhole: false);
        return text.ToString();
    }
}
