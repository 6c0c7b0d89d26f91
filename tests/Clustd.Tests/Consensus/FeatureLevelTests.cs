using System.Text;
using System.Text.Json;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Clustd.Core.Wire;
using Clustd.Peers;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Consensus;

/// <summary>Two versions side by side.</summary>
public class FeatureLevelTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    [Fact]
    public void A_cluster_forms_at_the_level_of_its_oldest_member()
    {
        Formed(new CoreBench(3)).Leader!.State.FeatureLevel.ShouldBe(FeatureLevels.Own);
        Formed(new CoreBench(3, level: 1)).Leader!.State.FeatureLevel.ShouldBe(1);
    }

    // Catches: the planted bug LevelByMajority.
    [Fact]
    public void The_level_rises_when_the_last_machine_is_upgraded_and_not_before()
    {
        var bench = Formed(new CoreBench(3, level: 1));
        foreach (var id in bench.Ids)
        {
            bench.Leader!.State.FeatureLevel.ShouldBe(1);
            Upgrade(bench, id, FeatureLevels.Own);
        }

        bench.RunUntil(() => bench.Running.All(core => core.State.FeatureLevel == FeatureLevels.Own), Second * 2);
    }

    // Wrong program: reads 0, and with it all that level 1 may do is refused.
    [Fact]
    public void A_snapshot_of_a_version_that_knew_no_levels_is_of_level_1()
    {
        var state = Formed(new CoreBench(3, level: 1)).Leader!.State;
        var old = Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(SnapshotBytes.Write(state)).Replace("\"featureLevel\":1,", "", StringComparison.Ordinal));
        old.Length.ShouldBeLessThan(SnapshotBytes.Write(state).Length);

        var read = SnapshotBytes.Read(old, SnapshotBytes.Checksum(old), state.Position, out var problem).ShouldNotBeNull(problem);

        read.FeatureLevel.ShouldBe(1);
        SnapshotBytes.Write(read).ShouldBe(SnapshotBytes.Write(state));
    }

    // A machine that is away might come back as any version.
    [Fact]
    public void The_level_does_not_rise_while_a_machine_is_away()
    {
        var bench = Formed(new CoreBench(3, level: 1));
        var last = bench.Ids[2];
        bench.Kill(last);
        foreach (var id in bench.Ids.Take(2))
        {
            Upgrade(bench, id, FeatureLevels.Own);
        }

        bench.RunFor(Second * 5);

        bench.Leader!.State.FeatureLevel.ShouldBe(1);
    }

    [Fact]
    public void A_machine_that_goes_back_behind_the_level_of_the_cluster_is_refused_and_the_others_go_on()
    {
        var bench = Formed(new CoreBench(3));
        var old = bench.Running.First(core => !core.Consensus.IsLeader).Settings.Self;
        bench.Kill(old);
        bench.Levels[old] = 1;
        bench.Restart(old);
        bench.RunFor(Second);

        bench.Trace.Select(line => line.Output).OfType<Output.Disconnect>().ShouldContain(output => output.Machine == old && output.Reason.Contains("older"));
        bench.Running.Count(core => core.Hold.IsHeld(bench.Now)).ShouldBeGreaterThanOrEqualTo(2);
    }

    [Fact]
    public void A_store_that_a_newer_version_has_written_is_refused_in_three_parts()
    {
        var stored = new StoredState(new StoreId("s"), HardState.Initial, [new LogEntry(1, new Term(1), new Command.SetFeatureLevel(3))]);

        FeatureLevels.WhyNotStart(new MachineId("cm-1"), stored, 3).ShouldBeNull();
        FeatureLevels.WhyNotStart(new MachineId("cm-1"), stored, 2).ShouldBe(
            "cm-1 cannot take part: its clustd is older (feature level 2) than what the cluster works with (3). Install the version that the other machines run.");
    }

    // Catches: a field without a default, which would make the logs and the words of the first version unreadable.
    [Fact]
    public void What_the_first_version_wrote_counts_as_level_one()
    {
        const string form = """{"type":"form","cluster":"c","epochSeconds":1,"lease":1000000,"members":[]}""";
        const string hello = """{"cluster":"","sender":"s","body":{"type":"hello","address":"a:1","addresses":["a:1"],"lease":1000000,"witness":false,"incarnation":1,"isFormed":false,"isReady":true}}""";
        const string report = """{"cluster":"c","sender":"s","body":{"type":"append-answer","term":1,"success":true,"matchIndex":1,"conflictTerm":0,"conflictIndex":0,"round":1,"stamp":{"session":0,"incarnation":0,"at":0},"report":{"version":1,"leaving":false,"services":[],"proposal":null}}}""";

        JsonSerializer.Deserialize(form, CoreJson.Default.Command).ShouldBeOfType<Command.Form>().FeatureLevel.ShouldBe(1);
        PeerMail.TryRead(Encoding.UTF8.GetBytes(hello), out var greeting, out var problem).ShouldBeTrue(problem);
        ((PeerBody.Hello)greeting.Body).FeatureLevel.ShouldBe(1);
        PeerMail.TryRead(Encoding.UTF8.GetBytes(report), out var answer, out problem).ShouldBeTrue(problem);
        var read = ((PeerBody.AppendAnswer)answer.Body).Report.ShouldNotBeNull();
        (read.FeatureLevel, read.Stalled).ShouldBe((1, null));
    }

    [Fact]
    public void A_command_that_this_version_does_not_know_is_refused_and_never_throws()
    {
        var bytes = Encoding.UTF8.GetBytes("""{"cluster":"c","sender":"s","body":{"type":"propose","command":{"type":"of-tomorrow","x":1},"incarnation":1}}""");

        PeerMail.TryRead(bytes, out _, out var problem).ShouldBeFalse();
        problem.ShouldNotBeEmpty();
    }

    private static CoreBench Formed(CoreBench bench)
    {
        bench.RunUntil(() => bench.Running.All(core => core.Hold.IsHeld(bench.Now)), Second);
        bench.RunFor(Second);
        return bench;
    }

    private static void Upgrade(CoreBench bench, MachineId machine, int level)
    {
        bench.Kill(machine);
        bench.Levels[machine] = level;
        bench.Restart(machine);
        bench.RunFor(Second * 2);
    }
}
