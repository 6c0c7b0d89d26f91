using System.Collections.Immutable;
using System.Text.Json;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Clustd.Core.Wire;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Consensus;

/// <summary>
/// What a peer of another version, or one that has lost its mind, may say. An exception in a step ends the daemon, so each of these is a
/// wrong program if it throws: one bad machine would take all the others down.
/// </summary>
public class SenselessMessageTests
{
    private static readonly Command NoOp = new Command.NoOp(new MachineId("cm-1"));

    public static TheoryData<string> Appends => ["previous below zero", "a gap", "indices from elsewhere", "huge ages", "negative ages"];

    [Theory]
    [MemberData(nameof(Appends))]
    public void A_senseless_append_changes_nothing(string which)
    {
        var bench = Formed();
        var follower = bench.Running.First(core => !core.Consensus.IsLeader);
        var (term, last) = (follower.Consensus.Term, follower.Consensus.Log.Last);
        var append = new PeerBody.Append(term, last, [], 0, 1, [], 0);
        append = which switch
        {
            "previous below zero" => append with { Previous = new LogPosition(-3, last.Term) },
            "a gap" => append with { Entries = [new LogEntry(last.Index + 2, term, NoOp)] },
            "indices from elsewhere" => append with { Entries = [new LogEntry(-1, term, NoOp)] },
            "huge ages" => append with { Ages = [new SessionAge(new SessionId(2), long.MaxValue), new SessionAge(new SessionId(3), long.MinValue)] },
            _ => append with { Ages = [new SessionAge(new SessionId(2), -1_000_000_000)] },
        };

        Say(bench, bench.Leader!, follower, append);

        follower.Consensus.Log.LastIndex.ShouldBe(last.Index);
        bench.RunFor(TimeSpan.FromSeconds(3));
        bench.Running.ShouldAllBe(core => core.Hold.IsHeld(bench.Now));
    }

    [Theory]
    [InlineData(true, 1_000_000, 0)]
    [InlineData(true, -5, 0)]
    [InlineData(false, 0, long.MaxValue)]
    [InlineData(false, 0, -7)]
    public void A_senseless_answer_commits_nothing(bool success, long matchIndex, long conflictIndex)
    {
        var bench = Formed();
        var leader = bench.Leader!;
        var follower = bench.Running.First(core => !core.Consensus.IsLeader);
        var answer = new PeerBody.AppendAnswer(leader.Consensus.Term, success, matchIndex, new Term(-1), conflictIndex, 1, default, null);

        Say(bench, follower, leader, answer);

        leader.Consensus.CommitIndex.ShouldBeLessThanOrEqualTo(leader.Consensus.Log.LastIndex);
        bench.RunFor(TimeSpan.FromSeconds(3));
        bench.Running.ShouldAllBe(core => core.Hold.IsHeld(bench.Now));
    }

    [Fact] // The holder's own clock bounds what it believes: nobody can confirm a stamp that it has not made.
    public void An_echo_of_a_stamp_that_was_never_made_is_ignored()
    {
        var bench = Formed();
        var follower = bench.Running.First(core => !core.Consensus.IsLeader);
        var until = follower.Hold.Until;

        foreach (var at in (Instant[])[bench.Now + TimeSpan.FromHours(1), new Instant(long.MaxValue - 1), Instant.Never])
        {
            Say(bench, bench.Leader!, follower, new PeerBody.Echo(follower.Consensus.Term, follower.Hold.Session, follower.Settings.Incarnation, at, TimeSpan.FromSeconds(1), 0));
        }

        follower.Hold.Until.ShouldBe(until);
    }

    [Fact] // Wrong program: sends the same entries again at every refusal, so the two talk as fast as the network goes, for ever.
    public void A_machine_whose_disk_was_set_back_keeps_nobody_busy()
    {
        var bench = Formed();
        var follower = bench.Running.First(core => !core.Consensus.IsLeader).Settings.Self;

        bench.Cut(follower); // not lost for the leader, which remembers what was acknowledged
        bench.SetBackDisk(follower, 2);
        bench.Start(follower);
        bench.Post(follower, new Input.PeerConnected(bench.Leader!.Settings.Self));
        bench.Heal();
        bench.Trace.Clear();
        bench.RunFor(TimeSpan.FromSeconds(1));

        bench.Trace.Count(line => line.Output is Output.Send { Message.Body: PeerBody.AppendAnswer { Success: false } }).ShouldBeLessThan(50);
    }

    [Fact] // A missing list would be read as one that nobody may touch, and the first look at it would end the daemon.
    public void A_message_with_something_missing_is_no_message()
    {
        foreach (var text in (string[])[
            """{"cluster":"c","sender":"s","body":{"type":"append","term":1,"previous":{"index":1,"term":1},"commit":1,"round":1,"knownReport":0}}""",
            """{"cluster":"c","sender":"s","body":{"type":"formed","entry":{"index":1,"term":1,"command":null}}}""",
            """{"cluster":"c","sender":"s","body":{"type":"ask","id":null,"request":null}}""",
            """{"cluster":"c","sender":"s"}"""])
        {
            Should.Throw<JsonException>(() => JsonSerializer.Deserialize(text, CoreJson.Default.PeerMessage), text);
        }
    }

    private static CoreBench Formed()
    {
        var bench = new CoreBench(3);
        bench.RunUntil(() => bench.Running.All(core => core.Hold.IsHeld(bench.Now)), TimeSpan.FromSeconds(2));
        bench.RunFor(TimeSpan.FromSeconds(1));
        return bench;
    }

    private static void Say(CoreBench bench, MachineCore from, MachineCore to, PeerBody body)
    {
        bench.Post(to.Settings.Self, new Input.PeerSpoke(from.Settings.Self, new PeerMessage(to.State.Cluster, from.Store, body)));
        bench.Deliver();
    }
}
