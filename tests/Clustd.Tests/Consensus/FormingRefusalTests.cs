using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Consensus;

/// <summary>Rule 17: who may be in a new cluster. cm-1 and cm-2 have met; what calls itself cm-3 says what the test wants.</summary>
public class FormingRefusalTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);
    private static readonly MachineId Third = new("cm-3");
    private static readonly StoreId Store = new("store-of-cm-3");
    private readonly CoreBench _bench = new(3, startedExcept: Third);

    private PeerBody.Hello Fit => new("10.0.0.3:3001", _bench.Addresses, _bench.Lease, false, 7, false, true, FeatureLevels.Own, FeatureLevels.Own);

    [Fact]
    public void With_a_third_machine_that_fits_the_first_forms_the_cluster_and_tells_it()
    {
        Say(Fit);

        _bench.RunFor(Second);

        _bench[1].Consensus.IsFormed.ShouldBeTrue();
        Sent<PeerBody.Formed>(1).ShouldNotBeEmpty();
        _bench[1].Consensus.Members.Keys.ShouldBe(_bench.Ids);
    }

    // Wrong program: forms a second cluster beside the one that the third machine belongs to.
    [Fact]
    public void No_cluster_forms_when_a_listed_machine_belongs_to_one()
    {
        Say(Fit with { IsFormed = true });

        _bench.RunFor(Second * 2);
        Say(Fit with { IsFormed = true });
        _bench.RunFor(Second * 2);

        _bench.Running.ShouldAllBe(core => !core.Consensus.IsFormed);
        _bench[1].View(_bench.Now).WaitsFor.ShouldBe("cm-3 belongs to a formed cluster; waiting to be taken in, by itself if this machine was a member before, else by `clustd machine add cm-1`");
        Noted(1).Count(noted => noted.Kind == "joining").ShouldBe(1);
    }

    [Fact]
    public void No_cluster_forms_while_a_machine_has_not_met_the_others()
    {
        Say(Fit with { IsReady = false });

        _bench.RunFor(Second * 2);

        _bench.Running.ShouldAllBe(core => !core.Consensus.IsFormed);
        _bench[1].View(_bench.Now).WaitsFor.ShouldBe("all machines have met; waiting for the one with the smallest id to form the cluster");
    }

    [Fact]
    public void What_is_missing_is_named()
    {
        _bench.RunFor(Second);

        _bench[1].View(_bench.Now).WaitsFor.ShouldBe("waiting for 1 of 3: 10.0.0.3:3001 not met yet; a new cluster forms when all have met");
    }

    [Fact]
    public void A_machine_that_is_lost_before_the_cluster_is_formed_is_waited_for_again()
    {
        Say(Fit with { IsReady = false });
        _bench.Post(new MachineId("cm-1"), new Input.PeerLost(Third));

        _bench.RunFor(Second);

        _bench[1].View(_bench.Now).WaitsFor.ShouldBe("waiting for 1 of 3: 10.0.0.3:3001 not met yet; a new cluster forms when all have met");
        _bench.Running.ShouldAllBe(core => !core.Consensus.IsFormed);
    }

    // Each is refused with its reason, to the machine and in this one's log, and the connection is closed.
    [Theory]
    [InlineData("another list", "list different machines")]
    [InlineData("another lease", "different leases, 1000 ms and 3000 ms")]
    [InlineData("an address that nobody lists", "says that its address is 10.0.0.9:3001, which is not on the list")]
    [InlineData("this machine's address", "says that its address is 10.0.0.1:3001, which is the address of cm-1")]
    [InlineData("another machine's address", "both say that their address is 10.0.0.2:3001")]
    public void What_does_not_fit_is_refused_with_its_reason(string what, string reason)
    {
        Say(what switch
        {
            "another list" => Fit with { Addresses = ["10.0.0.1:3001", "10.0.0.2:3001", "10.0.0.4:3001"] },
            "another lease" => Fit with { Lease = Second * 3 },
            "an address that nobody lists" => Fit with { Address = "10.0.0.9:3001" },
            "this machine's address" => Fit with { Address = "10.0.0.1:3001" },
            _ => Fit with { Address = "10.0.0.2:3001" },
        });

        Sent<PeerBody.Refusal>(1).ShouldHaveSingleItem().Reason.ShouldContain(reason);
        Noted(1).Single(noted => noted.Kind == "refused").Sentence.ShouldContain(reason);
        Of(1).OfType<Output.Disconnect>().ShouldContain(cut => cut.Machine == Third);
        _bench.RunFor(Second * 2);
        _bench.Running.ShouldAllBe(core => !core.Consensus.IsFormed);
        _bench[1].View(_bench.Now).WaitsFor.ShouldNotBeNull().ShouldContain("10.0.0.3:3001 not met yet");
    }

    // Entry 1 is the coordinator's word; a machine that it does not name, or names with another disk, is not in it.
    [Theory]
    [InlineData("cm-2", "store-2", true)]
    [InlineData("cm-2", "another disk", false)]
    [InlineData("cm-9", "store-2", false)]
    public void A_machine_takes_a_cluster_that_names_it_and_its_disk(string machine, string store, bool isTaken)
    {
        var form = new Command.Form(new ClusterId("c"), 1_700_000_000, _bench.Lease,
            [new Member(new MachineId("cm-1"), _bench[1].Store, "10.0.0.1:3001", false), new Member(new MachineId(machine), new StoreId(store), "10.0.0.2:3001", false)], FeatureLevels.Own);

        _bench.Post(_bench.Ids[1], new Input.PeerSpoke(_bench.Ids[0], new PeerMessage(new ClusterId("c"), _bench[1].Store, new PeerBody.Formed(new LogEntry(1, new Term(1), form)))));
        _bench.Deliver();

        _bench[2].Consensus.IsFormed.ShouldBe(isTaken);
    }

    private void Say(PeerBody.Hello hello)
    {
        foreach (var id in _bench.Ids.Take(2))
        {
            _bench.Post(id, new Input.PeerConnected(Third));
            _bench.Post(id, new Input.PeerSpoke(Third, new PeerMessage(hello.IsFormed ? new ClusterId("another") : ClusterId.None, Store, hello)));
        }

        _bench.Deliver();
    }

    private IEnumerable<Output> Of(int number) => _bench.Trace.Where(step => step.Machine == _bench.Ids[number - 1]).Select(step => step.Output);

    private IEnumerable<Output.Noted> Noted(int number) => Of(number).OfType<Output.Noted>();

    private IEnumerable<T> Sent<T>(int number)
        where T : PeerBody => Of(number).OfType<Output.Send>().Where(send => send.To == Third).Select(send => send.Message.Body).OfType<T>();
}
