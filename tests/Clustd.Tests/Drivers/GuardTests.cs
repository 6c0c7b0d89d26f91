using Clustd.Drivers.Processes;
using Shouldly;
using Xunit;
using static Clustd.Tests.Drivers.Scratch;

namespace Clustd.Tests.Drivers;

/// <summary>The guard as its driver sees it.</summary>
[Collection("processes")]
public sealed class GuardTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task An_app_ends_with_its_code_and_its_output_is_passed_on()
    {
        var lines = new List<string>();
        var app = Hold(Spec("echo one; echo two >&2; exit 7"), lines);
        (await app.Exited.WaitAsync(Patience)).ShouldBe(new ChildExit(7, 0));
        (await app.Gone.WaitAsync(Patience)).ShouldBe(new GuardedEnd(null, "exit code 7"));
        lines.ShouldBe(["one", "two"]);
        app.LastLines.ShouldBe(["one", "two"]);
    }

    // Catches a guard that signals only its child or its group, or that calls it proof when the child is gone.
    [Fact]
    public async Task At_the_end_of_the_lease_nothing_is_left_in_time_not_even_daemons_that_ignore_TERM()
    {
        long leaseEnd = Now + 4 * Second; // Long enough for all of them to have begun, on a machine that is busy.
        var app = Hold(Spec($"{_scratch.Daemonized("a")}; {_scratch.Daemonized("b")}; exec sh -c '{Stubborn.Replace("'", "'\\''")}' {_scratch.File("c")}", leaseEnd));
        int[] pids = [await _scratch.PidIn("a"), await _scratch.PidIn("b"), await _scratch.PidIn("c")];
        pids.ShouldAllBe(pid => IsAlive(pid));
        var end = await app.Gone.WaitAsync(Patience);
        long gone = Now;
        end.ShouldBe(new GuardedEnd(null, "the lease is over"));
        gone.ShouldBeInRange(leaseEnd, leaseEnd + Second / 2 + Second); // the second is for a test machine that is busy
        pids.ShouldAllBe(pid => !IsAlive(pid));
    }

    // Wrong program: leaves one behind for every guard that is killed together with its driver process.
    [Fact]
    public async Task Empty_cgroups_of_guards_that_are_gone_are_removed()
    {
        Assert.SkipUnless(OwnCgroup.TryCreate(int.MaxValue) is not null, "no cgroup may be made here");
        var app = Hold(Spec("exit 0"));
        await app.Gone.WaitAsync(Patience);
        OwnCgroup.Of(int.MaxValue).ShouldBeNull();
    }

    [Fact]
    public async Task A_renewed_lease_lets_the_app_run_on_and_a_withdrawn_one_ends_it()
    {
        long first = Now + Second;
        var app = Hold(Spec("exec sleep 100", first));
        await app.Started.WaitAsync(Patience);
        app.Renew(first + 100 * Second);
        await Eventually(() => Now > first + Second, "the first lease to be long over");
        app.Gone.IsCompleted.ShouldBeFalse();
        app.Renew(Now);
        (await app.Gone.WaitAsync(Patience)).ShouldBe(new GuardedEnd(null, "the lease is over"));
    }

    [Fact]
    public async Task A_lease_that_is_over_before_the_start_starts_nothing()
    {
        var app = Hold(Spec($"touch {_scratch.File("ran")}", leaseEnd: Now - 1));
        // A guard that is so late itself that its driver does not wait for it any longer starts nothing either.
        (await Should.ThrowAsync<AppFailedException>(() => app.Started.WaitAsync(Patience))).Message.ShouldBeOneOf("the lease is over before the start", "its guard was killed");
        (await app.Gone.WaitAsync(Patience)).IsProven.ShouldBeTrue();
        File.Exists(_scratch.File("ran")).ShouldBeFalse();
    }

    [Fact]
    public async Task A_planned_stop_lets_the_app_clean_up()
    {
        var lines = new List<string>();
        var app = Hold(Spec("trap 'sleep 0.3; echo cleaned; exit 0' TERM; echo ready; while :; do sleep 0.02; done"), lines);
        await Eventually(() => app.LastLines.Contains("ready"), "the app");
        app.Stop(Now + 10 * Second, "the machine is drained");
        (await app.Gone.WaitAsync(Patience)).ShouldBe(new GuardedEnd(null, "the machine is drained"));
        lines.ShouldContain("cleaned");
        (await app.Exited).Succeeded.ShouldBeTrue();
    }

    [Fact]
    public async Task A_planned_stop_kills_what_does_not_end_before_its_limit()
    {
        var app = Hold(Spec(_scratch.Daemonized("a") + "; exec sleep 100"));
        int pid = await _scratch.PidIn("a");
        long limit = Now + Second;
        app.Stop(limit, "moved");
        (await app.Gone.WaitAsync(Patience)).ShouldBe(new GuardedEnd(null, "moved"));
        Now.ShouldBeInRange(limit - Second / 2, limit + 2 * Second);
        IsAlive(pid).ShouldBeFalse();
    }

    [Fact]
    public async Task What_an_app_that_ended_by_itself_left_behind_goes_too()
    {
        var app = Hold(Spec($"{_scratch.Daemonized("a")}; while [ ! -s {_scratch.File("a")} ]; do sleep 0.02; done; exit 3"));
        int pid = await _scratch.PidIn("a");
        (await app.Gone.WaitAsync(Patience)).ShouldBe(new GuardedEnd(null, "exit code 3"));
        IsAlive(pid).ShouldBeFalse();
    }

    // An agent's start: the script ends well, and the daemon that it leaves is the app. Wrong program: holds it as an app's rest, which goes at once, or as a script's, which lives on.
    [Fact]
    public async Task The_rest_of_a_command_can_be_held_and_ends_with_the_lease()
    {
        long first = Now + 4 * Second;
        var app = Hold(Spec($"{_scratch.Daemonized("a")}; while [ ! -s {_scratch.File("a")} ]; do sleep 0.02; done", first) with { HoldsTheRest = true });
        (await app.Exited.WaitAsync(Patience)).Succeeded.ShouldBeTrue();
        int pid = await _scratch.PidIn("a");
        app.Renew(first + 100 * Second);
        await Eventually(() => Now > first + Second, "the first lease to be long over");
        (IsAlive(pid), app.Gone.IsCompleted).ShouldBe((true, false));
        app.Renew(Now);
        (await app.Gone.WaitAsync(Patience)).ShouldBe(new GuardedEnd(null, "the lease is over"));
        IsAlive(pid).ShouldBeFalse();
    }

    [Fact]
    public async Task The_rest_of_a_command_that_fails_goes_with_it()
    {
        var app = Hold(Spec($"{_scratch.Daemonized("a")}; while [ ! -s {_scratch.File("a")} ]; do sleep 0.02; done; exit 3") with { HoldsTheRest = true });
        int pid = await _scratch.PidIn("a");
        (await app.Gone.WaitAsync(Patience)).ShouldBe(new GuardedEnd(null, "exit code 3"));
        IsAlive(pid).ShouldBeFalse();
    }

    [Fact] // Wrong program: waits until somebody asks, and a script that waits for the end by `kill -0` sees a zombie for a second.
    public async Task That_the_rest_has_ended_is_seen_soon()
    {
        var app = Hold(Spec($"sh -c 'echo $$ > {_scratch.File("a")}; exec sleep 1000' &") with { HoldsTheRest = true });
        int pid = await _scratch.PidIn("a");
        await app.Exited.WaitAsync(Patience);
        Signal(pid, LinuxCalls.SIGKILL);
        long killed = Now;
        (await app.Gone.WaitAsync(Patience)).IsProven.ShouldBeTrue();
        (Now - killed).ShouldBeLessThan(5 * Second);
    }

    [Fact]
    public async Task Killing_the_guard_kills_the_app_and_what_the_guard_held_is_found_and_killed()
    {
        var app = Hold(Spec($"{_scratch.Daemonized("a")}; exec sh -c '{Stubborn.Replace("'", "'\\''")}' {_scratch.File("b")}"));
        int[] pids = [await _scratch.PidIn("a"), await _scratch.PidIn("b")];
        Signal(app.GuardPid, LinuxCalls.SIGKILL);
        var end = await app.Gone.WaitAsync(Patience);
        end.ShouldBe(new GuardedEnd(null, "its guard was killed"));
        pids.ShouldAllBe(pid => !IsAlive(pid));
    }

    [Fact]
    public async Task A_frozen_guard_does_not_save_its_app_the_driver_kills_both_in_time()
    {
        long leaseEnd = Now + 4 * Second;
        var app = Hold(Spec(_scratch.Daemonized("a") + "; exec sleep 100", leaseEnd));
        int pid = await _scratch.PidIn("a");
        Signal(app.GuardPid, 19 /* SIGSTOP */);
        (await app.Gone.WaitAsync(Patience)).IsProven.ShouldBeTrue();
        Now.ShouldBeInRange(leaseEnd, leaseEnd + Second / 2 + Second);
        IsAlive(pid).ShouldBeFalse();
        IsAlive(app.GuardPid).ShouldBeFalse();
    }

    [Fact]
    public async Task A_flooding_app_is_stopped_like_a_quiet_one()
    {
        // Wrong program: one that reads what was written before the order, of which there is more every moment, before it looks at the clock. It never ends.
        var app = Hold(Spec("trap '' TERM; while :; do yes; done"), []);
        await Eventually(() => app.LastLines.Count == 10, "the flood");
        app.Stop(Now + Second, "moved");
        (await app.Gone.WaitAsync(Patience)).IsProven.ShouldBeTrue();
    }

    [Fact]
    public async Task Long_lines_are_cut_and_bytes_that_are_no_text_are_replaced()
    {
        var lines = new List<string>();
        var app = Hold(Spec("head -c 20000 /dev/zero | tr '\\0' x; echo; printf '\\377\\376ok\\n'; printf 'no newline'"), lines);
        await app.Gone.WaitAsync(Patience);
        lines.Select(line => line.Length).Take(3).ShouldBe([8192, 8192, 20000 - 2 * 8192]);
        lines[3..].ShouldBe(["\uFFFD\uFFFDok", "no newline"]);
    }

    // A managed runtime ignores SIGPIPE, and a child inherits that: then `yes | head` would never end.
    [Fact]
    public async Task The_app_gets_ordinary_signals_no_stdin_and_no_open_files()
    {
        var lines = new List<string>();
        var app = Hold(Spec("yes | head -n 1; readlink /proc/self/fd/0; ls /proc/self/fd | tr '\\n' ' '"), lines);
        await app.Gone.WaitAsync(Patience);
        lines.ShouldBe(["y", "/dev/null", "0 1 2 3 "]); // 3 is the directory that ls itself reads
    }

    [Fact]
    public async Task What_cannot_be_run_says_why()
    {
        var app = Hold(Spec("true", cwd: "/nowhere"));
        (await Should.ThrowAsync<AppFailedException>(() => app.Started.WaitAsync(Patience))).Message
            .ShouldBe("Cannot run '/bin/sh' in /nowhere: No such file or directory. Correct `cwd` or create the directory.");
        (await app.Gone.WaitAsync(Patience)).IsProven.ShouldBeTrue();

        var missing = Hold(Spec("true") with { Command = ["no-such-program"] });
        (await Should.ThrowAsync<AppFailedException>(() => missing.Started.WaitAsync(Patience))).Message.ShouldContain("Cannot run 'no-such-program'");
    }

    [Fact]
    public async Task An_app_of_another_user_is_that_user_and_still_dies_with_its_guard()
    {
        if (LinuxCalls.geteuid() != 0) Assert.Skip("Only root can run an app as another user.");
        var app = Hold(Spec("echo $(id -un) $HOME $USER; exec sleep 100", user: "nobody", cwd: "/"));
        await Eventually(() => app.LastLines.Count == 1, "the app");
        app.LastLines[0].ShouldStartWith("nobody ");
        app.LastLines[0].ShouldEndWith(" nobody");
        int pid = await app.Started;
        Signal(app.GuardPid, LinuxCalls.SIGKILL);
        (await app.Gone.WaitAsync(Patience)).IsProven.ShouldBeTrue();
        IsAlive(pid).ShouldBeFalse();
    }

    [Fact]
    public async Task An_unknown_user_is_an_error_that_names_him()
    {
        var app = Hold(Spec("true", user: "no-such-user"));
        (await Should.ThrowAsync<AppFailedException>(() => app.Started.WaitAsync(Patience))).Message
            .ShouldBe("Cannot run '/bin/sh' as user 'no-such-user': there is no such user. Create it or correct `user`.");
    }

    [Fact]
    public async Task What_a_script_leaves_in_the_background_lives_on_and_can_still_write()
    {
        var script = Hold(Spec($"(echo $BASHPID; while [ ! -e {_scratch.File("end")} ]; do echo tick; sleep 0.02; done; touch {_scratch.File("lived")}) & exit 0", isScript: true));
        (await script.Exited.WaitAsync(Patience)).Succeeded.ShouldBeTrue();
        script.Kill(); // too late: the script has done its work
        await Eventually(() => script.LastLines.Count == 10, "ten ticks after the end of the script");
        File.Create(_scratch.File("end")).Dispose();
        (await script.Gone.WaitAsync(Patience)).IsProven.ShouldBeTrue();
        File.Exists(_scratch.File("lived")).ShouldBeTrue();
    }
}
