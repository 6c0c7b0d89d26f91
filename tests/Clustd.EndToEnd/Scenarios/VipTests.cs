using Clustd.EndToEnd.Harness;
using Shouldly;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>Addresses follow the master, and neighbours follow the addresses; what others have put where they should be is neither taken over nor removed.</summary>
public class VipTests(VipCluster cluster) : VipScenario(cluster), IClassFixture<VipCluster>
{
    private const string NobodysMac = "02:00:00:00:00:99";

    [Fact(Skip = WhySkipped, SkipWhen = nameof(HasNoNamespaces))]
    public async Task A_move_takes_them_along_and_nobody_else_answers_meanwhile()
    {
        var (old, since) = (await HeldByMasterAsync(), ActObserver.Now);
        await Machines.MoveSomewhereAsync();
        await TakenFromAsync(old);
        await ShouldNeverOverlapAsync(since);
        Addresses(old).ShouldNotContain(Address4);
        Addresses(old).ShouldNotContain(VipCluster.Address6);
        Tell("a move", since, old);
    }

    [Fact(Skip = WhySkipped, SkipWhen = nameof(HasNoNamespaces))]
    public async Task A_master_that_is_cut_off_is_silent_before_another_one_answers()
    {
        await Machines.MoveSomewhereAsync(); // Whoever it leaves may take over at once: nobody has to cool down.
        var (old, since) = (await HeldByMasterAsync(), ActObserver.Now);
        var at = old.KillEverything();
        await TakenFromAsync(old);
        await ShouldNeverOverlapAsync(since);
        Tell("all processes of the master are killed", at, old);
    }

    // Nobody sends anything to the addresses, so only what the new master says by itself can change the cache. Wrong program: tells nobody, and the cache is right only when the kernel has asked again, after half a minute.
    [Fact(Skip = WhySkipped, SkipWhen = nameof(HasNoNamespaces))]
    public async Task Neighbours_learn_at_once_where_they_are()
    {
        await HeldByMasterAsync();
        Watch.Dispose();
        foreach (var address in (string[])[Address4, VipCluster.Address6])
            Machines.Network.In(VipCluster.Neighbour, "ip", "neigh", "replace", address, "lladdr", NobodysMac, "dev", "eth0", "nud", "stale");
        await Machines.MoveSomewhereAsync();
        foreach (var address in (string[])[Address4, VipCluster.Address6])
        {
            await Eventually.IsTrue(() => Machines.Network.In(VipCluster.Neighbour, "ip", "neigh", "show", address).Contains(MacOf(Machines.Master), StringComparison.Ordinal),
                $"the neighbour knows where {address} is", TimeSpan.FromSeconds(4));
        }
    }

    [Fact(Skip = WhySkipped, SkipWhen = nameof(HasNoNamespaces))] // A client with a cache. Wrong program: as above.
    public async Task A_ping_of_a_neighbour_goes_on_after_a_move()
    {
        await HeldByMasterAsync();
        await PingAsync();
        await Machines.MoveSomewhereAsync();
        await HeldByMasterAsync();
        await PingAsync();
    }

    [Fact(Skip = WhySkipped, SkipWhen = nameof(HasNoNamespaces))]
    public async Task An_address_that_another_machine_answers_for_is_not_taken_and_its_mac_is_named()
    {
        var master = await HeldByMasterAsync();
        Machines.Network.In(VipCluster.Neighbour, "ip", "address", "add", $"{VipCluster.Address6}/64", "dev", "eth0", "nodad");
        await master.RunAsync("move", "default");
        await Eventually.IsTrue(() => Machines.All.Any(machine => machine.Log.Contains($"Cannot take {VipCluster.Address6}/64 on eth0: another machine has it (MAC {Mac(VipCluster.Neighbour)})", StringComparison.Ordinal)), "it is refused, with the MAC");
        Machines.Network.In(VipCluster.Neighbour, "ip", "address", "del", $"{VipCluster.Address6}/64", "dev", "eth0");

        Machines.Network.In(VipCluster.Neighbour, "ip", "address", "add", $"{Address4}/24", "dev", "eth0");
        await Eventually.IsTrue(() => Machines.All.Any(machine => machine.Log.Contains($"Cannot take {Address4}/24 on eth0: another machine has it (MAC {Mac(VipCluster.Neighbour)})", StringComparison.Ordinal)), "the other one, too");
        Machines.Network.In(VipCluster.Neighbour, "ip", "address", "del", $"{Address4}/24", "dev", "eth0");
        await HeldByMasterAsync();
    }

    // As after boot: the kernel still asks whether anybody has the link's own address, and until it knows sends nothing from it. Wrong program: asks by way of the kernel, says nothing, hears nobody, and takes the address.
    [Fact(Skip = WhySkipped, SkipWhen = nameof(HasNoNamespaces))]
    public async Task An_address_of_another_machine_is_found_on_a_link_that_has_only_just_come_up()
    {
        var master = await HeldByMasterAsync();
        int before = Refusals();
        Machines.Network.In(VipCluster.Neighbour, "ip", "address", "add", $"{VipCluster.Address6}/64", "dev", "eth0", "nodad");
        try
        {
            foreach (var standby in Machines.Standbys) GiveLinkAddress(standby, questions: 120);
            await master.RunAsync("move", "default");
            await Eventually.IsTrue(() => Refusals() > before, "it is refused");
            Machines.All.Except([master]).ShouldAllBe(machine => Addresses(machine).Contains("tentative", StringComparison.Ordinal), "otherwise this has shown nothing");
        }
        finally
        {
            Machines.Network.In(VipCluster.Neighbour, "ip", "address", "del", $"{VipCluster.Address6}/64", "dev", "eth0");
            foreach (var machine in Machines.All) GiveLinkAddress(machine, questions: 1);
        }

        await HeldByMasterAsync();
    }

    [Fact(Skip = WhySkipped, SkipWhen = nameof(HasNoNamespaces))] // Wrong program: the clean slate of a standby deletes what somebody has configured.
    public async Task An_address_that_somebody_has_configured_on_a_standby_is_left_alone_and_named()
    {
        var standby = Machines.Standbys[0];
        Machines.Network.In(Number(standby), "ip", "address", "add", $"{VipCluster.Address6}/64", "dev", "eth0", "nodad");
        await Eventually.IsTrue(() => standby.Log.Contains($"{VipCluster.Address6}/64 is on this machine already, and clustd did not put it there", StringComparison.Ordinal), "it is named");
        Addresses(standby).ShouldContain(VipCluster.Address6);
        Machines.Network.In(Number(standby), "ip", "address", "del", $"{VipCluster.Address6}/64", "dev", "eth0");
    }

    [Fact(Skip = WhySkipped, SkipWhen = nameof(HasNoNamespaces))]
    public async Task What_somebody_removes_is_put_back_and_told()
    {
        var master = await HeldByMasterAsync();
        var at = ActObserver.Now;
        Machines.Network.In(Number(master), "ip", "address", "del", $"{Address4}/24", "dev", "eth0");
        await Eventually.IsTrue(() => Watch.Since(at + 200_000).Any(answer => answer.Kind == "arp"), "it is back", TimeSpan.FromSeconds(20));
        await Eventually.IsTrue(() => master.Log.Contains("removed", StringComparison.Ordinal), "it is told");
        Machines.Master.ShouldBe(master, "nothing has moved for that");
    }

    [Fact(Skip = WhySkipped, SkipWhen = nameof(HasNoNamespaces))] // Wrong program: trusts in a gate that a firewall has flushed away.
    public async Task A_gate_that_a_firewall_has_flushed_away_is_made_again()
    {
        var master = await HeldByMasterAsync();
        try
        {
            Machines.Network.In(Number(master), "nft", "flush", "ruleset");
        }
        catch (Exception e) when (e is IOException)
        {
            Assert.Skip("needs `nft` (Debian's nftables)");
        }

        await Eventually.IsTrue(() => Machines.Network.In(Number(master), "nft", "list", "tables").Contains(Address4, StringComparison.Ordinal), "the gate is back");
        var at = master.KillAtOnce(Role.Daemon, Role.Drivers, Role.AddressGuard);
        await TakenFromAsync(master);
        await ShouldBeSilentAsync(master, at + GoneWithinUs);
    }

    [Fact(Skip = WhySkipped, SkipWhen = nameof(HasNoNamespaces))] // Wrong program: keeps the service where nobody can reach it.
    public async Task An_interface_without_carrier_is_a_failure_that_moves_the_service()
    {
        var master = await HeldByMasterAsync();
        Machines.Network.PullCable(master.Id);
        await TakenFromAsync(master);
        Machines.Network.PlugIn(master.Id);
        await Machines.MakeHealthyAsync();
    }

    private async Task PingAsync()
    {
        foreach (var address in (string[])[Address4, VipCluster.Address6])
            await Eventually.IsTrue(() => IsAnswered(address), $"a ping of {address} is answered", TimeSpan.FromSeconds(4));
    }

    private bool IsAnswered(string address)
    {
        try
        {
            Machines.Network.In(VipCluster.Neighbour, "ping", "-c", "1", "-W", "1", address);
            return true;
        }
        catch (Exception e) when (e is IOException)
        {
            return false;
        }
    }

    private void Tell(string what, long at, Machine old)
    {
        foreach (var kind in (string[])["arp", "ping", "ping6"])
        {
            var answers = Watch.Since(at).Where(answer => answer.Kind == kind).ToList();
            var first = answers.FirstOrDefault(answer => answer.Mac != MacOf(old)).At;
            TestContext.Current.TestOutputHelper?.WriteLine($"{what}: {kind}, last answer of the old one {(answers.LastOrDefault(answer => answer.Mac == MacOf(old)).At - at) / 1e3:0.0} ms after it, first of the new one {(first - at) / 1e3:0.0} ms");
        }
    }

    private int Refusals() => Machines.All.Sum(machine => machine.Log.Split($"Cannot take {VipCluster.Address6}/64 on eth0: another machine has it").Length - 1);

    // One question a second, and the address is of use when nobody has answered the last one.
    private void GiveLinkAddress(Machine machine, int questions)
    {
        Machines.Network.In(Number(machine), "sh", "-c", $"echo {questions} > /proc/sys/net/ipv6/conf/eth0/dad_transmits");
        Machines.Network.In(Number(machine), "ip", "-6", "address", "flush", "dev", "eth0", "scope", "link");
        Machines.Network.In(Number(machine), "ip", "address", "add", $"fe80::64:{Number(machine)}/64", "dev", "eth0");
    }
}
