using System.Text.Json.Nodes;
using Clustd.Conformance.Stage;
using Shouldly;
using Xunit;

namespace Clustd.Conformance.Rules;

/// <summary>docs/protocol.md, 3: `renew`, and what counts as a lease.</summary>
public abstract class LeaseRules(string subject) : Rules(subject)
{
    [Fact]
    public async Task It_renews_at_once_and_then_as_often_as_it_was_told()
    {
        await using var scene = await StartAsync(daemon => daemon.RenewEveryUs = Second / 10);
        var side = await scene.NextDriverAsync();
        await scene.HeardAsync(side, "renew", 10);
        var stamps = Stamps(side);
        stamps.ShouldBeUnique();
        stamps.ShouldBeInOrder();
        (stamps[10] - stamps[0]).ShouldBeGreaterThan(Second * 8 / 10, "ten times a tenth of a second");
    }

    // Wrong program: keeps its pace, and its lease runs out between two questions.
    [Fact]
    public async Task It_renews_eight_times_as_often_while_little_is_left()
    {
        await using var scene = await StartAsync(daemon => (daemon.RenewEveryUs, daemon.LeftUs) = (Second, Second * 3 / 2));
        var side = await scene.RunningAsync();
        await scene.HeardAsync(side, "renew", 16);
        var stamps = Stamps(side);
        (stamps[16] - stamps[0]).ShouldBeLessThan(8 * Second, "some eighths of a second, and not 16 s");
    }

    [Fact]
    public async Task It_never_says_less_than_it_holds()
    {
        await using var scene = await StartAsync(daemon => daemon.LeftUs = 10 * Second);
        var side = await scene.NextDriverAsync();
        await scene.HeardAsync(side, "renew", 4);
        var renewals = side.Calls("renew").ToList();
        (Message.NumberOf(renewals[0].Params["leftUs"]) ?? 0).ShouldBe(0, "nothing was granted yet");
        // Absent is allowed. What is said counts from that stamp on: nine seconds and more of the ten.
        renewals.Skip(2).Select(renewal => Message.NumberOf(renewal.Params["leftUs"])).ShouldAllBe(left => left == null || (left > 9 * Second && left <= 10 * Second));
    }

    // The one rule that P2 stands on. Wrong program: counts from when it reads the answer.
    [Fact]
    public async Task The_lease_counts_from_when_it_was_asked_for()
    {
        // Each answer comes half a second later than what it grants lasts: there never is a lease.
        await using var scene = await StartAsync(daemon => (daemon.LeaseUs, daemon.OnRenew) = (30 * Second, message =>
        {
            _ = LaterAsync(daemon, message, delayUs: Second * 3 / 2, leftUs: Second);
            return null;
        }));
        var side = await scene.NextDriverAsync();
        await side.Heard.FirstAsync(message => message.Method == "renew", "a renewal", scene.Patience, 12);
        var start = side.TriggerAsync(true, 1, limitUs: 2 * Second);
        if (await Task.WhenAny(start, Task.Delay(TimeSpan.FromSeconds(3))) == start)
            (await start).ErrorCode.ShouldBe(-32004); // One that was over when it came is none, too.
        scene.Begun(true).ShouldBe(0);
    }

    [Fact]
    public async Task A_late_answer_makes_the_stop_no_later()
    {
        await using var scene = await StartAsync(daemon => (daemon.LeaseUs, daemon.RenewEveryUs, daemon.OnRenew) = (60 * Second, 20 * Second, _ => null));
        var side = await scene.NextDriverAsync();
        var asked = await scene.HeardAsync(side, "renew");
        await Task.Delay(TimeSpan.FromSeconds(4));
        await side.AnswerAsync(asked, DriverSide.Granted(asked, 8 * Second));
        await scene.Acknowledged(side.TriggerAsync(true, 1));
        var stop = await scene.BeginsAsync(false);
        (stop.AtUs - asked.AtUs).ShouldBeInRange(7 * Second, 8 * Second + Second * 5 / 2, "8 s after it was asked for; counted from the answer it would be 12 s");
    }

    // Wrong program: takes what arrives last for what was said last.
    [Fact]
    public async Task The_answer_to_an_earlier_stamp_and_to_one_that_was_not_asked_are_ignored()
    {
        await using var scene = await StartAsync();
        var side = await scene.RunningAsync();
        var held = new List<Message>();
        scene.Daemon.OnRenew = message =>
        {
            lock (held)
                held.Add(message);
            return null;
        };
        var already = side.Calls("renew").Count();
        await scene.HeardAsync(side, "renew", already + 1);
        Message[] two;
        lock (held)
            two = [.. held.Take(2)];
        scene.Daemon.OnRenew = null;
        await side.AnswerAsync(two[1], DriverSide.Granted(two[1], 20 * Second));
        await side.AnswerAsync(two[0], DriverSide.Granted(two[0], 0));
        // An answer to a question that was asked, about another stamp.
        scene.Daemon.OnRenew = message => new JsonObject { ["stamp"] = Message.NumberOf(message.Params["stamp"]) + 12_345_678, ["leftUs"] = 0 };
        var asked = side.Calls("renew").Count();
        await scene.HeardAsync(side, "renew", asked);
        scene.Daemon.OnRenew = null;
        await scene.ReadAllAsync(side);
        (await scene.LeaseAsync()).Is("isValid").ShouldBeTrue();
        scene.Begun(false).ShouldBe(0);
    }

    [Fact]
    public async Task An_answer_of_an_earlier_connection_is_none()
    {
        await using var scene = await StartAsync();
        var first = await scene.RunningAsync();
        var stamp = Stamps(first)[^1];
        first.Cut();
        // The next daemon confuses its connections: nobody asked this one about that stamp.
        scene.Daemon.OnRenew = _ => new JsonObject { ["stamp"] = stamp, ["leftUs"] = 0 };
        var second = await scene.NextDriverAsync();
        await scene.HeardAsync(second, "renew", 1);
        await scene.ReadAllAsync(second);
        (await scene.LeaseAsync()).Is("isValid").ShouldBeTrue();
        scene.Begun(false).ShouldBe(0);
    }

    [Fact]
    public async Task Nothing_left_means_stop_at_once_and_the_stop_is_told()
    {
        await using var scene = await StartAsync();
        var side = await scene.RunningAsync(token: 9);
        scene.Daemon.LeftUs = 0;
        var stop = await scene.BeginsAsync(false);
        stop.Is("kill").ShouldBeTrue();
        stop.Number("token").ShouldBe(9);
        var proof = await scene.HeardAsync(side, "stopped");
        proof.Params["name"]!.GetValue<string>().ShouldBe("subject");
        proof.Params["instance"]!.GetValue<string>().ShouldBe(side.Registration["instance"]!.GetValue<string>());
        proof.Params["service"]!.GetValue<string>().ShouldBe("default");
        proof.Params["token"]!.GetValue<long>().ShouldBe(9);
        (await scene.LeaseAsync()).Is("isValid").ShouldBeFalse();
        await scene.Said.FirstAsync(said => said.Event == "over", "the lease to say that it is over", scene.Patience);
    }

    // Wrong program: reads null as 0, and stops every service when a daemon has just been restarted; or as forever.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_daemon_that_cannot_tell_yet_changes_nothing(bool saysNull)
    {
        await using var scene = await StartAsync(daemon => (daemon.RenewEveryUs, daemon.LeftUs) = (Second / 20, 6 * Second));
        var side = await scene.RunningAsync();
        scene.Daemon.OnRenew = message => saysNull ? DriverSide.Granted(message, null) : new JsonObject { ["stamp"] = message.Params["stamp"]!.DeepClone() };
        var last = side.Calls("renew").Count();
        await scene.HeardAsync(side, "renew", last + 10);
        await scene.ReadAllAsync(side);
        (await scene.LeaseAsync()).Is("isValid").ShouldBeTrue();
        scene.Begun(false).ShouldBe(0);
        // What was granted before ends all the same.
        await scene.BeginsAsync(false);
    }

    // Wrong program: lets a slow answer cost a moment of the lease.
    [Fact]
    public async Task The_end_never_moves_back_unless_it_is_said()
    {
        await using var scene = await StartAsync(daemon => daemon.RenewEveryUs = Second / 20);
        var side = await scene.RunningAsync();
        await scene.LeaseIsAsync(lease => lease.Number("remainingUs") > 15 * Second, "has more than 15 s");
        scene.Daemon.LeftUs = 8 * Second;
        await scene.HeardAsync(side, "renew", side.Calls("renew").Count() + 5);
        await scene.ReadAllAsync(side);
        (await scene.LeaseAsync()).Number("remainingUs")!.Value.ShouldBeGreaterThan(10 * Second);

        scene.Daemon.OnRenew = message =>
        {
            var answer = DriverSide.Granted(message, 8 * Second);
            answer["shortens"] = true;
            return answer;
        };
        await scene.LeaseIsAsync(lease => lease.Number("remainingUs") is > 0 and <= 8 * Second, "was shortened to 8 s");
        scene.Begun(false).ShouldBe(0);
    }

    // Wrong program: begins, and nobody would ever stop it.
    [Fact]
    public async Task It_begins_no_start_without_a_lease()
    {
        await using var scene = await StartAsync(daemon => daemon.LeftUs = null);
        var side = await scene.NextDriverAsync();
        await scene.HeardAsync(side, "renew", 1);
        var start = side.TriggerAsync(true, 1);
        await scene.HeardAsync(side, "renew", side.Calls("renew").Count() + 3);
        await scene.ReadAllAsync(side);
        scene.Begun(true).ShouldBe(0);
        if (start.IsCompleted)
        {
            (await start).ErrorCode.ShouldBe(-32004);
            return;
        }
        scene.Daemon.LeftUs = 20 * Second;
        await scene.Acknowledged(start);
        (await scene.BeginsAsync(true)).Is("lease").ShouldBeTrue();
    }

    // Wrong program: answers an unknown time, or nothing at all: the lease of a driver is for nothing but the master.
    [Fact]
    public async Task A_connection_on_which_renewals_are_not_answered_is_given_up()
    {
        await using var scene = await StartAsync(daemon => (daemon.LeaseUs, daemon.LeftUs) = (4 * Second, 60 * Second));
        var side = await scene.RunningAsync();
        scene.Daemon.OnRenew = _ => null;
        var silent = Message.NowUs;
        await scene.InTime(side.Closed, "the driver to hang up");
        (Message.NowUs - silent).ShouldBeGreaterThan(Second, "after half a lease of 4 s");
        (await scene.NextDriverAsync()).Tells()["isMaster"]!.GetValue<bool>().ShouldBeTrue();
        scene.Begun(false).ShouldBe(0);
    }

    private static List<long> Stamps(DriverSide side) => [.. side.Calls("renew").Select(renewal => Message.NumberOf(renewal.Params["stamp"])!.Value)];

    private static async Task LaterAsync(ScriptedDaemon daemon, Message renewal, long delayUs, long leftUs)
    {
        await Task.Delay(TimeSpan.FromMicroseconds(delayUs));
        try
        {
            await daemon.Connections.All[^1].AnswerAsync(renewal, DriverSide.Granted(renewal, leftUs));
        }
        catch (IOException)
        {
            // The test is over.
        }
    }
}
