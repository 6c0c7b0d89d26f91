using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Consensus;

public class SnapshotTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    [Fact] // The wrong program: a log in memory and on disk that grows for ever
    public void The_log_is_cut_behind_a_snapshot_and_never_longer_than_two_of_them_apart()
    {
        var bench = Healthy(3);

        Decide(bench, 200);

        foreach (var core in bench.Running)
        {
            (core.Consensus.Log.LastIndex - core.Consensus.Log.Base.Index).ShouldBeLessThanOrEqualTo(2 * bench.SnapshotEvery + 1);
            bench.SnapshotOf(core.Settings.Self)!.AppliedIndex.ShouldBe(core.Consensus.Log.Base.Index);
            bench.DiskOf(core.Settings.Self)[0].Index.ShouldBe(core.Consensus.Log.Base.Index + 1);
        }
    }

    [Fact]
    public void A_machine_that_starts_from_its_snapshot_has_the_state_of_the_others()
    {
        var bench = Healthy(3);
        Decide(bench, 50);
        var follower = Follower(bench);

        bench.Kill(follower);
        bench.Restart(follower);
        Decide(bench, 3);

        Bytes(bench[follower]).ShouldBe(Bytes(bench.Leader!));
    }

    [Fact] // The wrong program: a leader that does not find the entry a follower needs, and crashes or stays silent
    public void A_follower_that_missed_more_than_the_log_holds_takes_over_a_snapshot()
    {
        var bench = Healthy(3);
        var follower = Follower(bench);

        bench.Cut(follower);
        bench.RunFor(Second);
        Decide(bench, 100);
        bench.Heal();
        bench.RunUntil(() => bench[follower].State.AppliedIndex == bench.Leader!.State.AppliedIndex, Second * 3);

        bench.Trace.ShouldContain(step => step.Machine == follower && step.Output is Output.Noted && ((Output.Noted)step.Output).Kind == "snapshot-installed");
        Bytes(bench[follower]).ShouldBe(Bytes(bench.Leader!));
    }

    [Fact] // "In chunks that cannot starve heartbeats": the session of the machine that receives one goes on while it lasts
    public void A_large_snapshot_travels_in_pieces_between_heartbeats()
    {
        var bench = Healthy(3, services: 900);
        var follower = Follower(bench);

        bench.Trace.Clear();
        bench.Cut(follower);
        Decide(bench, 60);
        bench.Heal();
        bench.RunUntil(() => bench[follower].State.AppliedIndex == bench.Leader!.State.AppliedIndex, Second * 3);

        bench.Trace.ShouldNotContain(step => step.Machine == follower && step.Output is Output.Noted && ((Output.Noted)step.Output).Kind == "session-not-held");
        var pieces = bench.Trace.Select(step => step.Output).OfType<Output.Send>().Select(send => send.Message.Body).OfType<PeerBody.SnapshotChunk>().ToList();
        pieces.Count.ShouldBeGreaterThan(3);
        pieces.ShouldAllBe(piece => piece.Data.Length <= 48 * 1024);
        bench[follower].Hold.IsHeld(bench.Now).ShouldBeTrue();
    }

    [Fact]
    public void A_damaged_snapshot_is_not_installed_and_asked_for_again()
    {
        var bench = Healthy(3);
        var follower = Follower(bench);
        bench.Cut(follower);
        bench.RunFor(Second);
        Decide(bench, 100);
        var leader = bench.Leader!;
        var bytes = SnapshotBytes.Write(leader.Consensus.Snapshot!);
        var position = leader.Consensus.Log.Base;
        var checksum = SnapshotBytes.Checksum(bytes);
        bytes[bytes.Length / 2] ^= 1;

        var core = bench[follower];
        var before = core.State.AppliedIndex;
        var outputs = core.Step(
            new Input.PeerSpoke(leader.Settings.Self, new PeerMessage(leader.State.Cluster, leader.Store, new PeerBody.SnapshotChunk(leader.Consensus.Term, position, 0, bytes.Length, checksum, bytes))),
            bench.Now);

        core.State.AppliedIndex.ShouldBe(before);
        core.Consensus.Log.Base.Index.ShouldBeLessThan(position.Index);
        outputs.OfType<Output.Noted>().ShouldContain(noted => noted.Kind == "snapshot-damaged");
        outputs.OfType<Output.Send>().Select(send => send.Message.Body).OfType<PeerBody.SnapshotAnswer>().Single().Received.ShouldBe(0);
    }

    [Fact]
    public void A_snapshot_survives_its_bytes()
    {
        var bench = Healthy(3);
        Decide(bench, 30);
        var state = bench.Leader!.State;

        var read = SnapshotBytes.Read(SnapshotBytes.Write(state), SnapshotBytes.Checksum(SnapshotBytes.Write(state)), state.Position, out var problem);

        problem.ShouldBe("");
        SnapshotBytes.Write(read!).ShouldBe(SnapshotBytes.Write(state));
    }

    /// <summary>CRC-32C's check value, from the catalogue of parametrised CRC algorithms: of the digits 1 to 9.</summary>
    [Fact]
    public void The_checksum_is_the_one_that_it_says_it_is() => SnapshotBytes.Checksum("123456789"u8).ShouldBe(0xE306_9283L);

    private static CoreBench Healthy(int machines, int services = 0)
    {
        var bench = new CoreBench(
            machines,
            services: services == 0 ? default : [.. Enumerable.Range(0, services).Select(number => new ServiceDefinition { Name = new ServiceName($"service-{number:0000}") })],
            snapshotEvery: 20);
        bench.RunUntil(() => bench.Running.All(core => core.Hold.IsHeld(bench.Now)) && bench.Leader!.State.Services.Count == Math.Max(1, services), Second * 5);
        return bench;
    }

    private static MachineId Follower(CoreBench bench) => bench.Running.First(core => !core.Consensus.IsLeader).Settings.Self;

    private static void Decide(CoreBench bench, int times)
    {
        for (var i = 0; i < times; i++)
        {
            bench.Post(bench.Leader!.Settings.Self, new Input.RequestMade($"d{i}", new Request.Pause(i % 2 == 0)));
            bench.Deliver();
        }

        bench.RunFor(TimeSpan.FromMilliseconds(100));
    }

    private static byte[] Bytes(MachineCore core) => SnapshotBytes.Write(core.State);
}
