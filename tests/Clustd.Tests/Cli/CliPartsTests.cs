using Clustd.Cli;
using Clustd.Config;
using Clustd.Core;
using Clustd.Demo;
using Clustd.Drivers;
using Clustd.Drivers.Shell;
using Clustd.Http;
using Clustd.Tests.Config;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Cli;

public sealed class CliPartsTests
{
    [Fact]
    public void A_log_line_has_time_level_and_sentence() =>
        SaidLine.Format(new DateTime(2026, 5, 1, 9, 8, 7, 6), Severity.Information, "cm-1 leads.").ShouldBe("09:08:07.006 info  cm-1 leads.");

    // Catches: a log that can be forged by an app that prints a line break, for example in a driver's error.
    [Fact]
    public void A_sentence_stays_on_its_line()
    {
        var bench = new CommandBench();
        new SaidLine(bench.Terminal).Say(Severity.Error, "one\ntwo");
        bench.Error.ShouldEndWith("error one two\n");
    }

    [Fact]
    public void A_move_is_told_in_one_line()
    {
        new MoveView("web", "cm-1", "cm-2", 5, 6, 3.21).Sentence().ShouldBe("web: cm-1 -> cm-2, token 5 -> 6, gap 3.2 ms");
        new MoveView("web", null, "cm-2", null, 1, null).Sentence().ShouldBe("web: nowhere -> cm-2, token none -> 1");
    }

    // Catches: a gap that is counted from the release of another token, or over a clock that was set back.
    [Fact]
    public void The_gap_is_from_the_release_of_the_old_token_to_the_new_one_running()
    {
        var at = new DateTimeOffset(2026, 5, 1, 0, 0, 0, TimeSpan.Zero);
        EventView[] events =
        [
            new(7, 1, at, "released", "web", "cm-1", 4, ""), new(9, 1, at.AddMilliseconds(10), "released", "web", "cm-1", 5, ""),
            new(10, 1, at.AddMilliseconds(11), "assigned", "web", "cm-2", 6, ""), new(11, 1, at.AddMilliseconds(13.5), "running", "web", "cm-2", 6, ""),
        ];
        MoveCommand.GapMs(events, 5, 6).ShouldBe(3.5);
        MoveCommand.GapMs(events, 5, 7).ShouldBeNull();
        MoveCommand.GapMs([events[1] with { At = at.AddSeconds(1) }, events[3]], 5, 6).ShouldBeNull();
        MoveCommand.GapMs([events[1] with { At = null }, events[3]], 5, 6).ShouldBeNull();
    }

    [Fact]
    public void An_event_that_nobody_saw_here_has_no_time() =>
        EventsCommand.Line(new EventView(17, 2, null, "session-opened", null, "cm-1", null, "cm-1 is here.")).ShouldBe("    17  -             session-opened   cm-1 is here.");

    [Fact]
    public void A_driver_of_the_file_arrives_with_everything_that_was_said_of_it()
    {
        var config = ConfigTestWorld.Valid(ConfigTestWorld.File("id: cm-1", """
            services: { web: {} }
            drivers:
              - shell: { service: web, name: it, run: ./web, cwd: /srv, env: { B: 2, A: 1 }, shell: /bin/bash, user: nobody, order: 3, required: false }
            """), ConfigTestWorld.Machine());
        var shell = config.Drivers[0].ShouldBeOfType<ShellDriverOptions>();
        shell.ShouldSatisfyAllConditions(
            () => shell.Name.ShouldBe("it"), () => shell.Service.ShouldBe("web"), () => shell.Run.ShouldBe("./web"), () => shell.WorkingDirectory.ShouldBe("/srv"),
            () => shell.Environment.Select(pair => $"{pair.Key}={pair.Value}").ShouldBe(["A=1", "B=2"]), () => shell.Shell.ShouldBe("/bin/bash"),
            () => shell.User.ShouldBe("nobody"), () => shell.Order.ShouldBe(3), () => shell.Required.ShouldBeFalse(), () => shell.Validate().ShouldBeEmpty());
    }

    // Catches: a restart of every app after a comment was added to the file, and none after its command was changed.
    [Theory]
    [InlineData("run: ./web", "lease: 1s", true)]
    [InlineData("run: ./web", "lease: 2s", true)]
    [InlineData("run: ./web --verbose", "lease: 1s", false)]
    [InlineData("run: ./web, env: { A: 1 }", "lease: 1s", false)]
    [InlineData("run: ./web, order: 1", "lease: 1s", false)]
    public void A_driver_process_is_replaced_exactly_if_its_drivers_have_changed(string shell, string cluster, bool isSame) =>
        (DriverChild.HashOf(WithDriver(shell, cluster)) == DriverChild.HashOf(WithDriver("run: ./web", "lease: 1s"))).ShouldBe(isSame);

    [Fact]
    public void Other_environment_values_are_other_drivers() =>
        DriverChild.HashOf(WithDriver("run: ./web, env: { A: 1 }")).ShouldNotBe(DriverChild.HashOf(WithDriver("run: ./web, env: { A: 2 }")));

    // Catches: a path with a space or a quote that becomes two words, or a command.
    [Fact]
    public void A_shell_line_keeps_its_words() => OwnProgram.ShellLine("it's", "a b").ShouldEndWith(@" 'it'\''s' 'a b'");

    private static ClustdConfig WithDriver(string shell, string cluster = "lease: 1s") =>
        ConfigTestWorld.Valid(ConfigTestWorld.File($"id: cm-1\n  {cluster}", $"drivers:\n  - shell: {{ {shell} }}\n"));
}

public sealed class DemoObserverTests : IDisposable
{
    private readonly DemoObserver _observer = new();

    public void Dispose() => _observer.Dispose();

    [Fact]
    public void Acts_of_one_token_are_one_reign_in_whatever_order_they_arrive()
    {
        Act("cm-1", 5, 30_000, 10_000, 20_000);
        _observer.Newest.ShouldBe(new Reign("cm-1", 5, 10_000, 30_000, 3));
    }

    // Catches: an observer that only looks at the order in which acts arrive.
    [Fact]
    public void One_act_of_the_old_master_after_the_first_of_the_new_one_is_an_overlap()
    {
        Act("cm-1", 5, 10_000);
        Act("cm-2", 6, 20_000, 30_000);
        Act("cm-1", 5, 25_000);
        DemoObserver.WorstOverlapMs(_observer.Reigns).ShouldBe(5);
    }

    [Fact]
    public void A_pause_between_masters_is_an_overlap_below_zero()
    {
        Act("cm-1", 5, 10_000, 20_000);
        Act("cm-2", 6, 1_520_000);
        DemoObserver.WorstOverlapMs(_observer.Reigns).ShouldBe(-1500);
    }

    // Catches: P1 broken without P2: two machines with one token.
    [Fact]
    public void Two_machines_under_one_token_are_two_masters()
    {
        Act("cm-1", 5, 10_000, 20_000);
        Act("cm-2", 5, 15_000);
        DemoObserver.WorstOverlapMs(_observer.Reigns)!.Value.ShouldBeGreaterThan(0);
    }

    private void Act(string machine, long token, params long[] us)
    {
        foreach (var at in us) _observer.Note(machine, token, at);
    }
}
