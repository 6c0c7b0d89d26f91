using Clustd.Cli;
using Clustd.Http;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Cli;

public sealed class StatusScreenTests
{
    private static readonly DateTimeOffset Now = new(2026, 5, 1, 12, 0, 0, TimeSpan.Zero);

    private static readonly StatusView Healthy = new()
    {
        Cluster = "5f2c9a10",
        Self = "cm-2",
        Version = "0.1.0",
        WaitsFor = null,
        Role = "follower",
        Leader = "cm-1",
        Term = 3,
        Quorum = new QuorumStatus(3, 2, 3, "connections"),
        Consistency = "local",
        KnownAgoMs = 12,
        IsKnown = true,
        LeaseMs = 1000,
        SessionLeftMs = 931,
        IsLeaving = false,
        Paused = false,
        Machines =
        [
            new MachineStatus("cm-1", "10.0.0.1:3001", "alive", 1, false, false, false, true, true, null),
            new MachineStatus("cm-2", "10.0.0.2:3001", "alive", 2, false, false, true, false, true, null),
            new MachineStatus("cm-3", "10.0.0.3:3001", "away", null, true, true, false, false, false, null),
        ],
        Services =
        [
            new ServiceStatus("web", "cm-1", 1882686319755266, "running", Now.AddSeconds(-75), "cm-1 is preferred and healthy.", "unknown", null, new LocalStatus("standby", null, ""), null),
            new ServiceStatus("bot", null, null, "vacated", Now.AddMilliseconds(-340), "'bot' has no master: cm-3 was not heard of for 1.02 s.", "unknown", null, new LocalStatus("standby", null, ""), null),
        ],
        Drivers = [new DriverStatus("web-shell", "a1", ["web"], true, true, true, "certain", "exit code 3 after 40 ms")],
        LoopLatenessMs = 0.4,
        Warnings = [new StatusWarning("paused", "Paused: nothing moves by itself. `clustd unpause` ends it.")],
    };

    [Fact]
    public void What_resets_the_machine_is_shown() =>
        Shown(Healthy with { Watchdogs = [new("/dev/watchdog", "iTCO_wdt", 4000, 310, null), new("systemd", null, 10_000, 1200, null)] }, 100).ShouldContain("""
            watchdog /dev/watchdog (iTCO_wdt) resets this machine 4 s after its last decision; fed 310 ms ago
            systemd starts this daemon again 10 s after its last decision; fed 1.2 s ago
            """.ReplaceLineEndings("\n"));

    [Fact]
    public void A_wide_terminal_has_the_reason_beside_each_service()
    {
        Shown(Healthy, 100).ShouldBe("""
            cluster 5f2c9a10, leader cm-1, term 3, quorum 3 of 3 voters, 2 needed
            seen from cm-2 (follower): this is 12 ms old; session held, 931 ms left of 1 s

            SERVICE  MASTER  TOKEN     STATE    FOR     WHY
            web      cm-1    04b115·2  running  75 s    cm-1 is preferred and healthy.
            bot      none    -         vacated  340 ms  'bot' has no master: cm-3 was not heard of for 1.02 s.

            MACHINE  STATE  ADDRESS
            cm-1     alive  10.0.0.1:3001  leader
            cm-2     alive  10.0.0.2:3001  this one
            cm-3     away   10.0.0.3:3001  witness, drained

            DRIVERS OF cm-2  SERVICES  STATE      STOPS    LAST ERROR
            web-shell        web       connected  certain  exit code 3 after 40 ms

            ! Paused: nothing moves by itself. `clustd unpause` ends it.

            """);
    }

    [Fact]
    public void What_a_majority_has_confirmed_is_not_called_old() =>
        Shown(Healthy with { Consistency = StatusView.Linearizable }, 100).ShouldContain("seen from cm-2 (follower): confirmed by a majority; session held");

    // Catches: a table that only fits a wide window, the way most are looked at over ssh from a phone at night.
    [Fact]
    public void Sixty_columns_are_enough()
    {
        var shown = Shown(Healthy, 60);
        shown.ShouldBe("""
            cluster 5f2c9a10, leader cm-1, term 3, quorum 3 of 3 voters,
            2 needed
            seen from cm-2 (follower): this is 12 ms old; session held,
            931 ms left of 1 s

            SERVICE  MASTER  TOKEN     STATE    FOR
            web      cm-1    04b115·2  running  75 s
            bot      none    -         vacated  340 ms
              web: cm-1 is preferred and healthy.
              bot: 'bot' has no master: cm-3 was not heard of for 1.02
              s.

            MACHINE  STATE  ADDRESS
            cm-1     alive  10.0.0.1:3001  leader
            cm-2     alive  10.0.0.2:3001  this one
            cm-3     away   10.0.0.3:3001  witness, drained

            DRIVERS OF cm-2  SERVICES  STATE      STOPS
            web-shell        web       connected  certain
              web-shell: exit code 3 after 40 ms

            ! Paused: nothing moves by itself. `clustd unpause` ends it.

            """);
        shown.Split('\n').Max(line => line.Length).ShouldBeLessThanOrEqualTo(60);
    }

    // Catches: a --wide that shows another number than programs get.
    [Fact]
    public void The_whole_token_is_there_for_who_asks() => Shown(Healthy, 100, showsWhole: true).ShouldContain("web      cm-1    1882686319755266  running");

    [Theory]
    [InlineData(60)]
    [InlineData(100)]
    [InlineData(160)]
    public void No_line_is_wider_than_the_window(int width) => Shown(Healthy, width).Split('\n').Max(line => line.Length).ShouldBeLessThanOrEqualTo(width);

    [Fact]
    public void No_colour_reaches_what_is_no_terminal() => Shown(Healthy, 100).ShouldNotContain('\e');

    [Fact]
    public void A_healthy_cluster_is_exit_code_0() =>
        StatusCommand.Show(Healthy, null, new CommandBench().Terminal, Now).ShouldBe(ExitCodes.Done);

    // Catches: an old master shown as the present one, and exit code 0 for a machine that knows nothing.
    [Fact]
    public void A_machine_that_is_cut_off_says_unknown_what_it_knew_last_and_3()
    {
        var cutOff = Healthy with
        {
            IsKnown = false, KnownAgoMs = 4200, Leader = StatusView.Unknown, SessionLeftMs = 0, Quorum = new QuorumStatus(null, 2, 3, null), Drivers = [], Machines = [],
            Services = [new ServiceStatus("web", StatusView.Unknown, null, StatusView.Unknown, null, "cm-2 has heard no leader for 4.2 s.", "unknown", null, new LocalStatus("standby", null, ""), new ServiceLastKnown(4200, "cm-1", 5, "running", ""))],
            Warnings = [new StatusWarning("not-known", "cm-2 has heard no leader for 4.2 s. Look at the other machines, and at the network between them.")],
        };
        var bench = new CommandBench(width: 140);
        StatusCommand.Show(cutOff, null, bench.Terminal, Now).ShouldBe(ExitCodes.NoQuorum);
        bench.Out.ShouldContain("web      unknown  -      unknown  -    cm-2 has heard no leader for 4.2 s. Last known, 4.2 s ago: running on");
        bench.Error.ShouldBe("error: No quorum: no leader is heard. cm-2 has heard no leader for 4.2 s. Look at the other machines, and at the network between them.\n");
    }

    [Fact]
    public void A_cluster_that_has_not_formed_is_3_and_says_what_it_waits_for()
    {
        var bench = new CommandBench();
        StatusCommand.Show(Healthy with { Cluster = null, WaitsFor = "10.0.0.2:3001", Warnings = [] }, null, bench.Terminal, Now).ShouldBe(ExitCodes.NoQuorum);
        bench.Error.ShouldBe("error: No quorum: the cluster has not formed. 10.0.0.2:3001\n");
    }

    [Fact]
    public void A_leader_that_hears_too_few_is_3() =>
        StatusCommand.WhyNoQuorum(Healthy with { Quorum = new QuorumStatus(1, 2, 3, "leader"), Warnings = [] })
            .ShouldBe("No quorum: 1 of 3 voters are here and 2 are needed. Look at the other machines, and at the network between them.");

    // Catches: JSON that is parsed and written anew, and loses what this version does not know.
    [Fact]
    public void Json_is_passed_on_as_the_daemon_wrote_it()
    {
        var bench = new CommandBench();
        StatusCommand.Show(Healthy, """{"future":1}""", bench.Terminal, Now).ShouldBe(ExitCodes.Done);
        bench.Out.ShouldBe("{\"future\":1}\n");
    }

    [Theory]
    [InlineData(0.4, "0 ms")]
    [InlineData(999.9, "999 ms")]
    [InlineData(3_400, "3.4 s")]
    [InlineData(75_000, "75 s")]
    [InlineData(121_000, "2 min")]
    [InlineData(7_200_000, "2 h")]
    [InlineData(260_000_000, "3 d")]
    public void A_duration_is_short(double ms, string text) => StatusScreen.Span(TimeSpan.FromMilliseconds(ms)).ShouldBe(text);

    internal static StatusView Sample => Healthy;

    private static string Shown(StatusView view, int width, bool showsWhole = false)
    {
        var bench = new CommandBench(width);
        StatusScreen.Write(view, bench.Terminal, Now, showsWhole);
        return bench.Out;
    }
}
