using Clustd.Config;
using Clustd.Core;
using Clustd.Core.Running;
using Clustd.Watchdogs;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Watchdogs;

/// <summary>The machine's watchdog with a fake clock: lease 1 s, 'web' with a kill_timeout of 0.5 s, a watchdog of 1 s. Turns come every 10 ms.</summary>
public sealed class MachineWatchdogTests : IDisposable
{
    private static readonly ServiceName Web = new("web");
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan KillTimeout = TimeSpan.FromMilliseconds(500);

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("clustd-watchdog-");
    private readonly List<string> _said = [];
    private readonly RecordedWatchdog _device;
    private Instant _now = new(100_000_000);
    private Instant _heldUntil = new(0);
    private bool _runs;

    public MachineWatchdogTests() => _device = new RecordedWatchdog(() => _now);

    // Wrong program: does not ask back what the device made of it.
    [Fact]
    public void It_is_opened_set_and_asked_back()
    {
        using var watchdog = Open(seconds: 3);
        _device.Told.ShouldBe(["open /dev/watchdog", "timeout 3"]);
        watchdog.Status.ShouldBe(new("/dev/watchdog", "Recorded Watchdog", 3000, 0, null));
        _said.ShouldHaveSingleItem().ShouldContain("is armed: it resets this machine 3.0 s after the last decision");
    }

    [Theory]
    [InlineData(4, "it makes 4 s of it. Choose a 'watchdog.timeout' that it can do")]
    [InlineData(2, "it makes 2 s of it")]
    public void A_device_that_rounds_is_refused_and_stopped(int made, string why)
    {
        _device.Rounds = _ => made;
        Should.Throw<WatchdogUnavailableException>(() => Open(seconds: 3)).Message.ShouldContain(why);
        _device.IsArmed.ShouldBeFalse();
    }

    [Fact]
    public void A_device_that_refuses_the_timeout_is_refused()
    {
        _device.Rounds = _ => throw new IOException("refuses that timeout (WDIOC_SETTIMEOUT): Invalid argument");
        Should.Throw<WatchdogUnavailableException>(() => Open(seconds: 3)).Message.ShouldContain("it refuses that timeout (WDIOC_SETTIMEOUT): Invalid argument, and has 60 s");
        _device.IsArmed.ShouldBeFalse();
    }

    [Fact]
    public void A_device_that_cannot_be_set_will_do_if_it_has_that_very_timeout()
    {
        _device.Abilities = _device.Abilities with { SetsTimeout = false };
        using (var watchdog = Open(seconds: 60)) watchdog.Status.TimeoutMs.ShouldBe(60_000);
        Should.Throw<WatchdogUnavailableException>(() => Open(seconds: 30)).Message.ShouldContain("it cannot be set, and has 60 s");
    }

    // Wrong program: takes what is switched off by the very crash that it is there for.
    [Fact]
    public void A_device_that_a_crash_would_switch_off_is_refused_unless_nothing_can()
    {
        _device.Abilities = _device.Abilities with { StopsByMagicOnly = false };
        Should.Throw<WatchdogUnavailableException>(() => Open()).Message.ShouldContain("a crash of the daemon would switch it off, because it has no magic close");
        Linux("nowayout", "1");
        Open().Dispose();
        _said[0].ShouldContain("cannot be stopped once it is armed (nowayout)");
    }

    [Fact]
    public void A_device_that_resets_nothing_is_refused()
    {
        _device.Abilities = _device.Abilities with { OnlyRaisesAlarm = true };
        Should.Throw<WatchdogUnavailableException>(() => Open()).Message.ShouldContain("it raises an alarm and resets nothing");
    }

    // Wrong program: a wrong file at the next start switches off what the crash before had left armed over a running app.
    [Fact]
    public void What_a_crash_left_armed_stays_armed_when_the_next_start_fails()
    {
        Linux("state", "active");
        _device.Rounds = _ => 4;
        Should.Throw<WatchdogUnavailableException>(() => Open()).Message.ShouldEndWith("It was armed already, and stays so: the machine is reset if nobody feeds it.");
        _device.IsArmed.ShouldBeTrue();
        _device.Told.ShouldNotContain("V");
    }

    [Fact]
    public void Who_reset_the_machine_is_said()
    {
        _device.Abilities = _device.Abilities with { HasReset = true };
        Open().Dispose();
        _said[0].ShouldStartWith("The last reset of this machine came from its watchdog");
    }

    // Wrong program: feeds by a timer, or at every turn, or once per timeout.
    [Fact]
    public void It_is_fed_by_turns_eight_times_per_timeout()
    {
        using var watchdog = Open();
        Live(watchdog, seconds: 10);
        _device.Told.Count(told => told == "feed").ShouldBeInRange(74, 82);
        watchdog.Status.FedAgoMs.ShouldBeLessThanOrEqualTo(130);
        Stand(seconds: 1.1); // No turn comes.
        _device.HasReset.ShouldBeTrue();
    }

    // Wrong program: withholds food from a healthy machine now and then.
    [Fact]
    public void A_healthy_master_is_never_reset()
    {
        using var watchdog = Open();
        _runs = true;
        for (var beat = 0; beat < 2000; beat++)
        {
            // Echoes come every 50 ms; one in ten takes the quarter of a lease that an election takes.
            Hold(stampAge: beat % 10 == 0 ? 0.24 : 0.01);
            Live(watchdog, seconds: beat % 10 == 9 ? 0.24 : 0.05);
        }

        _device.HasReset.ShouldBeFalse();
        _said.Count.ShouldBe(1);
    }

    // Wrong program: is fed as long as the loop turns, so what cannot be killed runs for ever; or is reset after what runs here must be gone.
    [Fact]
    public void What_does_not_stop_when_the_lease_is_over_has_the_machine_reset_in_time_whatever_the_moment()
    {
        for (var offset = 0; offset < 300; offset += 7)
        {
            var device = new RecordedWatchdog(() => _now);
            using var watchdog = MachineWatchdog.Open(new WatchdogConfig("/dev/watchdog", TimeSpan.FromSeconds(1)), device.Open, new WatchdogFacts(_folder.FullName), (_, text) => _said.Add(text), () => _now);
            _runs = true;
            Hold(stampAge: 0);
            Live(watchdog, 3, device, renewed: true);
            Live(watchdog, offset / 1000.0, device, renewed: true);
            var mustBeGone = _heldUntil + KillTimeout;
            while (!device.HasReset)
            {
                Live(watchdog, 0.001, device, step: 0.001);
                _now.ShouldBeLessThanOrEqualTo(mustBeGone);
            }

            // Not at the first late heartbeat either.
            (_now > _heldUntil).ShouldBeTrue();
        }

        _said.ShouldContain(text => text.StartsWith("The watchdog /dev/watchdog is not fed any more: 'web' may run here, and must be gone"));
    }

    // Wrong program: has the machine reset although all has stopped as it should.
    [Theory]
    [InlineData(0.01)]
    [InlineData(0.26)] // of 0.5 s, less the room of 0.225 s
    public void A_cut_off_machine_that_stops_in_time_is_not_reset(double stopTakes)
    {
        using var watchdog = Open();
        _runs = true;
        Hold(stampAge: 0);
        Live(watchdog, seconds: (_heldUntil - _now).TotalSeconds + stopTakes);
        _runs = false;
        Live(watchdog, seconds: 60);
        _device.HasReset.ShouldBeFalse();
        watchdog.Warnings.ShouldBeEmpty();
    }

    [Fact]
    public void While_it_is_withheld_the_status_says_why()
    {
        using var watchdog = Open();
        _runs = true;
        Hold(stampAge: 0);
        Live(watchdog, seconds: 1.1);
        watchdog.Status.Withheld.ShouldNotBeNull().ShouldContain("'web' may run here, and must be gone 0.35 s from now. This machine is reset in");
        watchdog.Warnings.ShouldHaveSingleItem().Code.ShouldBe("watchdog-withheld");
        _runs = false;
        Live(watchdog, seconds: 0.1);
        watchdog.Status.Withheld.ShouldBeNull();
        _said.Last().ShouldBe("The watchdog /dev/watchdog is fed again.");
    }

    // Wrong program: the cluster's services have a kill_timeout that this machine's file did not know, and it resets itself under full health.
    [Fact]
    public void A_service_that_it_cannot_cover_is_named_and_does_not_starve_it()
    {
        using var watchdog = Open(seconds: 3);
        _runs = true;
        Hold(stampAge: 0);
        Live(watchdog, seconds: 30, renewed: true);
        _device.HasReset.ShouldBeFalse();
        watchdog.Warnings.ShouldHaveSingleItem().ShouldBe(new("watchdog-uncovered",
            "The watchdog does not cover 'web': its kill_timeout of 0.5 s is too short for a 'watchdog.timeout' of 3.0 s, and may be over before the machine is reset. Raise kill_timeout to 2.6 s, or lower 'watchdog.timeout'."));
        _said.Count.ShouldBe(2);
    }

    [Fact]
    public void An_orderly_end_with_nothing_left_stops_it()
    {
        using (var watchdog = Open())
        {
            Live(watchdog, seconds: 1);
            watchdog.End(Here, isOrderly: true, isRestarting: false);
        }

        _device.Told.TakeLast(2).ShouldBe(["V", "close"]);
        _device.IsArmed.ShouldBeFalse();
    }

    // Wrong program: writes the letter whenever it ends.
    [Theory]
    [InlineData(true, true)] // what could not be stopped for certain
    [InlineData(false, false)] // the store failed: nobody knows
    public void Any_other_end_leaves_it_armed(bool runs, bool isOrderly)
    {
        using (var watchdog = Open())
        {
            _runs = runs;
            Hold(stampAge: 0);
            Live(watchdog, seconds: 0.2);
            watchdog.End(Here, isOrderly, isRestarting: false);
        }

        _device.Told.ShouldNotContain("V");
        _said.Last().ShouldBe("The watchdog /dev/watchdog stays armed, because something may run here: it resets this machine in 1.0 s unless the daemon is started again.");
        Stand(seconds: 1);
        _device.HasReset.ShouldBeTrue();
    }

    // Wrong program: the machine is reset in the middle of an announced restart, or nothing ends what runs on if no daemon comes.
    [Theory]
    [InlineData(1000, 14, "14 s")]
    [InlineData(8, 7, "7.0 s")] // half of what it cannot count
    [InlineData(1, 1, "1.0 s")]
    public void A_restart_gives_it_the_time_of_the_grace(int countsTo, int seconds, string said)
    {
        _device.Rounds = wanted => wanted <= countsTo ? wanted : throw new IOException("refuses that timeout");
        using (var watchdog = Open())
        {
            _runs = true;
            Hold(stampAge: 0);
            Live(watchdog, seconds: 0.2);
            _heldUntil = _now + TimeSpan.FromSeconds(14.95);
            watchdog.End(Here, isOrderly: true, isRestarting: true);
        }

        (_device.Timeout, _device.IsArmed).ShouldBe((seconds, true));
        _said.Last().ShouldContain($"it resets this machine in {said} unless the daemon is started again");
        Stand(seconds: seconds + 0.1);
        _device.HasReset.ShouldBeTrue();
        (_now <= _heldUntil + KillTimeout).ShouldBeTrue();
    }

    [Fact]
    public void A_device_that_cannot_be_stopped_is_said_at_the_end_too()
    {
        Linux("nowayout", "1");
        using var watchdog = Open();
        Live(watchdog, seconds: 1);
        watchdog.End(Here, isOrderly: true, isRestarting: false);
        _said.Last().ShouldContain("could not be stopped: it resets this machine in 1.0 s unless the daemon is started again");
    }

    [Fact]
    public void A_start_that_fails_after_it_was_opened_stops_it_unless_it_was_armed_before()
    {
        using (var watchdog = Open()) watchdog.End(Here, isOrderly: false, isRestarting: false);
        _device.IsArmed.ShouldBeFalse();
        Linux("state", "active");
        using (var watchdog = Open()) watchdog.End(Here, isOrderly: false, isRestarting: false);
        _device.IsArmed.ShouldBeTrue();
    }

    [Fact]
    public void A_device_that_fails_is_said_once_and_tried_again()
    {
        using var watchdog = Open();
        _device.IsBroken = true;
        Live(watchdog, seconds: 0.5);
        _said.Count(text => text.StartsWith("The watchdog /dev/watchdog does not take what is written to it: Input/output error.")).ShouldBe(1);
        _device.IsBroken = false;
        Live(watchdog, seconds: 5);
        _device.HasReset.ShouldBeFalse();
    }

    public void Dispose() => _folder.Delete(recursive: true);

    private RunningHere Here => new(_heldUntil, Lease, _runs ? [(Web, KillTimeout)] : [], !_runs);

    private MachineWatchdog Open(int seconds = 1) =>
        MachineWatchdog.Open(new WatchdogConfig("/dev/watchdog", TimeSpan.FromSeconds(seconds)), _device.Open, new WatchdogFacts(_folder.FullName), (_, text) => _said.Add(text), () => _now);

    private void Linux(string file, string text)
    {
        Directory.CreateDirectory(Path.Combine(_folder.FullName, "watchdog0"));
        File.WriteAllText(Path.Combine(_folder.FullName, "watchdog0", file), text + "\n");
    }

    private void Hold(double stampAge) => _heldUntil = LeaseTiming.HeldUntil(_now - TimeSpan.FromSeconds(stampAge), Lease);

    private void Live(MachineWatchdog watchdog, double seconds, RecordedWatchdog? device = null, bool renewed = false, double step = 0.01)
    {
        for (var end = _now + TimeSpan.FromSeconds(seconds); _now < end;)
        {
            _now += TimeSpan.FromSeconds(step);
            (device ?? _device).Look();
            if (renewed) Hold(stampAge: 0.02);
            if (watchdog.IsHungry) watchdog.Feed(Here);
        }
    }

    private void Stand(double seconds)
    {
        _now += TimeSpan.FromSeconds(seconds);
        _device.Look();
    }
}
