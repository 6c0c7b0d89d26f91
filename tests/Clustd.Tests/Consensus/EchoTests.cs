using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Consensus;

/// <summary>Who gets an echo of every confirmed round (rule 4), and who does not need it.</summary>
public class EchoTests
{
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(1);

    [Fact]
    public void A_master_gets_every_echo_and_a_machine_that_runs_nothing_one_in_a_fifth_of_a_lease()
    {
        var (bench, leader, master, idle) = Healthy();
        var before = (Master: Echoes(bench, master), Idle: Echoes(bench, idle));

        bench.RunFor(Lease * 10);

        (Echoes(bench, master) - before.Master).ShouldBeInRange(195, 205);
        (Echoes(bench, idle) - before.Idle).ShouldBeInRange(49, 51);
        (bench[idle].Hold.Until - bench.Now).ShouldBeGreaterThan(Lease * 0.7, "enough to start at once what it may be given");
        leader.ShouldNotBe(master);
    }

    [Fact]
    public void A_machine_that_is_given_something_gets_every_echo_from_then_on()
    {
        var (bench, leader, _, idle) = Healthy();

        bench.Post(leader, new Input.RequestMade("move", new Request.Move(ServiceName.Default, idle)));
        bench.RunUntil(() => bench[leader].State.Services[ServiceName.Default].Assignment?.Machine == idle, Lease);
        var before = Echoes(bench, idle);
        bench.RunFor(Lease);

        (Echoes(bench, idle) - before).ShouldBeInRange(19, 21);
    }

    [Fact]
    public void A_daemon_that_is_back_gets_its_first_echo_at_once()
    {
        var (bench, _, _, idle) = Healthy();
        bench.Kill(idle);
        bench.RunFor(TimeSpan.FromMilliseconds(20));
        bench.Restart(idle);

        bench.RunUntil(() => bench[idle].Hold.IsHeld(bench.Now), Lease * 0.15);
    }

    [Fact] // Rule 4. Wrong program: the planted bug FirstRoundAtTick, whose first round comes a heartbeat later.
    public void A_new_leader_begins_a_round_as_soon_as_its_first_entry_is_applied()
    {
        var (bench, leader, _, _) = Healthy();
        bench.Trace.Clear();

        bench.Kill(leader);
        bench.RunUntil(() => bench.Leader is not null, Lease);
        bench.RunFor(TimeSpan.FromMilliseconds(2));

        bench.Trace.Where(step => step.Machine == bench.Leader!.Settings.Self).Select(step => step.Output).OfType<Output.Send>()
            .Select(send => send.Message.Body).OfType<PeerBody.Append>().Select(append => append.Round).Distinct().Count().ShouldBe(2);
    }

    private static (CoreBench Bench, MachineId Leader, MachineId Master, MachineId Idle) Healthy()
    {
        var bench = new CoreBench(3, Lease);
        bench.RunUntil(() => bench.Leader is { } leader && leader.State.Services.Values.Any(service => service.Assignment is not null), Lease * 3);
        bench.RunFor(Lease);
        var master = bench.Leader!.State.Services.Values.Single().Assignment!.Machine;
        if (bench.Leader!.Settings.Self == master)
        {
            bench.Post(master, new Input.RequestMade("away", new Request.TransferLeadership(null)));
            bench.RunFor(Lease);
        }

        var leads = bench.Leader!.Settings.Self;
        return (bench, leads, master, bench.Ids.Single(id => id != leads && id != master));
    }

    private static int Echoes(CoreBench bench, MachineId to) =>
        bench.Trace.Count(line => line.Output is Output.Send { Message.Body: PeerBody.Echo } send && send.To == to);
}
