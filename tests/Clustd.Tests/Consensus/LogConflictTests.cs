using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Consensus;

/// <summary>A leader that is cut off has entries that nobody else has; what the others decide meanwhile takes their place (Ongaro, section 3.5).</summary>
public class LogConflictTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    // Wrong programs: keep one entry too many, or take away one that is committed; forget the disk; ask for one entry at a time for ever.
    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 7)]
    [InlineData(9, 2)]
    [InlineData(40, 3)]
    public void What_only_a_lost_leader_had_gives_way_to_what_was_decided(int lost, int decided)
    {
        var (bench, former) = CutOff(at => Toggle(at, lost));
        var committed = bench[former].Consensus.CommitIndex;
        var disk = bench.DiskOf(former);
        (disk[^1].Index - committed).ShouldBeGreaterThanOrEqualTo(lost, "they are on its disk, and nowhere else");
        Decide(bench, decided);

        bench.Trace.Clear();
        bench.Heal();
        bench.RunUntil(() => SameEverywhere(bench), Second * 2);

        foreach (var id in bench.Ids)
        {
            bench.DiskOf(id).Select(entry => (entry.Index, entry.Term)).ShouldBe(bench.DiskOf(bench.Leader!.Settings.Self).Select(entry => (entry.Index, entry.Term)), $"disk of {id}");
            bench.DiskOf(id).Select(entry => entry.Index).ShouldBe(Enumerable.Range(1, bench.DiskOf(id).Count).Select(index => (long)index));
        }

        // By the term at the conflict the leader finds the place in a few answers, however many entries there are.
        bench.Trace.Select(step => step.Output).OfType<Output.Send>().Count(send => send.Message.Body is PeerBody.AppendAnswer answer && !answer.Success).ShouldBeLessThanOrEqualTo(6);
        bench.Running.ShouldAllBe(core => core.State.Paused == (decided % 2 == 1));
    }

    // A disk that is slow meanwhile has not answered for what was taken back.
    [Fact]
    public void A_disk_that_answers_late_answers_for_nothing_that_was_taken_back()
    {
        var (bench, former) = CutOff(at =>
        {
            at.Bench.SlowDisk(at.Leader);
            Toggle(at, 5);
        });
        Decide(bench, 3);

        bench.Heal();
        bench.RunFor(Second);
        bench[former].Consensus.DurableIndex.ShouldBeLessThan(bench[former].Consensus.Log.LastIndex);
        bench.AnswerDisk(former);
        bench.RunUntil(() => SameEverywhere(bench), Second * 2);

        bench[former].Consensus.DurableIndex.ShouldBe(bench.Leader!.Consensus.DurableIndex);
        bench.DiskOf(former).Select(entry => (entry.Index, entry.Term)).ShouldBe(bench.DiskOf(bench.Leader!.Settings.Self).Select(entry => (entry.Index, entry.Term)));
    }

    // Members count from the moment that their entry is appended, so they must not when it is gone.
    [Fact]
    public void A_change_of_members_that_is_taken_back_does_not_count_any_more()
    {
        var bench = Healthy(5);
        var former = bench.Leader!.Settings.Self;
        var victim = bench.Ids.First(id => id != former);
        bench.Kill(victim);
        bench.RunFor(Second * 3);
        bench.Cut(former);
        bench.Post(former, new Input.RequestMade("remove", new Request.RemoveMachine(victim)));
        bench.RunFor(TimeSpan.FromMilliseconds(1));
        bench[former].Consensus.Members.Keys.ShouldNotContain(victim, "it counts as soon as it is appended");
        bench.RunUntil(() => bench.Leader is { } other && other.Settings.Self != former, Second * 3);
        Decide(bench, 2);

        bench.Heal();
        bench.RunUntil(() => SameEverywhere(bench), Second * 2);

        bench[former].Consensus.Members.Keys.ShouldBe(bench.Ids);
        bench.Running.ShouldAllBe(core => core.Consensus.Members.Count == 5);
    }

    [Theory]
    [InlineData("{")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{\"appliedIndex\":\"x\"}")]
    [InlineData("{\"appliedIndex\":99999999999999999999}")]
    public void A_snapshot_that_is_no_state_is_refused_with_a_word_and_not_thrown(string text)
    {
        var bytes = System.Text.Encoding.UTF8.GetBytes(text);

        SnapshotBytes.Read(bytes, SnapshotBytes.Checksum(bytes), default, out var problem).ShouldBeNull();

        problem.ShouldNotBeEmpty();
    }

    private static CoreBench Healthy(int machines = 3)
    {
        var bench = new CoreBench(machines);
        bench.RunUntil(() => bench.Running.All(core => core.Hold.IsHeld(bench.Now)), Second * 2);
        bench.RunFor(Second);
        return bench;
    }

    /// <summary>The leader is cut off, `does` something that only it knows of, and another leader is there.</summary>
    private static (CoreBench Bench, MachineId Former) CutOff(Action<(CoreBench Bench, MachineId Leader)> does)
    {
        var bench = Healthy();
        var former = bench.Leader!.Settings.Self;
        bench.Cut(former);
        does((bench, former));
        bench.RunUntil(() => bench.Leader is { } other && other.Settings.Self != former && !bench[former].Consensus.IsLeader, Second * 3);
        return (bench, former);
    }

    private static void Toggle((CoreBench Bench, MachineId Leader) at, int times) => Post(at.Bench, at.Leader, times);

    private static void Post(CoreBench bench, MachineId to, int times)
    {
        for (var time = 1; time <= times; time++)
        {
            bench.Post(to, new Input.RequestMade($"{to}-{time}-{bench.Now}", new Request.Pause(time % 2 == 0)));
            bench.RunFor(TimeSpan.FromMicroseconds(50));
        }
    }

    private static void Decide(CoreBench bench, int times)
    {
        for (var time = 1; time <= times; time++)
        {
            var wanted = time % 2 == 1;
            bench.Post(bench.Leader!.Settings.Self, new Input.RequestMade($"d{time}", new Request.Pause(wanted)));
            bench.RunUntil(() => bench.Leader!.State.Paused == wanted, Second);
        }
    }

    private static bool SameEverywhere(CoreBench bench) =>
        bench.Running.Select(core => (core.Consensus.Log.Last, core.State.AppliedIndex)).Distinct().Count() == 1 && bench.Running.All(core => core.Hold.IsHeld(bench.Now));
}
