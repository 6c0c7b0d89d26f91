using Clustd.EndToEnd.Harness;
using Shouldly;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>
/// The addresses are gone for certain: daemon, driver process and address guard are killed or frozen, alone and together, at whatever point; the machine does not answer for them any more when its lease and kill_timeout are over, and
/// never once another one does. What is asked is each machine itself, by its MAC.
/// </summary>
public class VipCertaintyTests(VipCluster cluster) : VipScenario(cluster), IClassFixture<VipCluster>
{
    [Theory(Skip = WhySkipped, SkipWhen = nameof(HasNoNamespaces))]
    [InlineData(RunningProcess.SIGKILL, new[] { Role.AddressGuard })]
    [InlineData(RunningProcess.SIGKILL, new[] { Role.Drivers })]
    [InlineData(RunningProcess.SIGKILL, new[] { Role.Daemon })]
    [InlineData(RunningProcess.SIGKILL, new[] { Role.Drivers, Role.AddressGuard })]
    [InlineData(RunningProcess.SIGKILL, new[] { Role.Daemon, Role.AddressGuard })]
    [InlineData(RunningProcess.SIGKILL, new[] { Role.Daemon, Role.Drivers })]
    [InlineData(RunningProcess.SIGKILL, new[] { Role.Daemon, Role.Drivers, Role.AddressGuard })]
    [InlineData(RunningProcess.SIGSTOP, new[] { Role.AddressGuard })]
    [InlineData(RunningProcess.SIGSTOP, new[] { Role.Drivers })]
    [InlineData(RunningProcess.SIGSTOP, new[] { Role.Drivers, Role.AddressGuard })]
    [InlineData(RunningProcess.SIGSTOP, new[] { Role.Daemon, Role.AddressGuard })]
    [InlineData(RunningProcess.SIGSTOP, new[] { Role.Daemon, Role.Drivers, Role.AddressGuard })]
    public async Task While_it_holds_them(int signal, Role[] roles)
    {
        var master = await HeldByMasterAsync();
        var since = ActObserver.Now;
        var at = signal == RunningProcess.SIGKILL ? master.KillAtOnce(roles) : master.Signal(signal, roles);
        await SettleAsync(master, at, signal, roles);
        await ShouldNeverOverlapAsync(since);
    }

    // Points of a start: the process is being started, it asks for 0.2 s whether somebody has the address, gate and addresses are set, it is held.
    [Theory(Skip = WhySkipped, SkipWhen = nameof(HasNoNamespaces))]
    [InlineData(0)]
    [InlineData(60)]
    [InlineData(150)]
    [InlineData(195)]
    [InlineData(205)]
    [InlineData(215)]
    [InlineData(225)]
    public async Task While_it_takes_them(int afterMs)
    {
        var old = await HeldByMasterAsync();
        var to = Machines.Standbys[0];
        var since = ActObserver.Now;
        // Not before it has cooled down from the story before.
        await Eventually.IsTrue(() => to.AskAsync("/v1/requests/move", $"{{\"service\":\"default\",\"target\":\"{to.Id}\"}}"), $"the service may move to {to.Id}");
        await Eventually.IsTrue(() => to.Has(Role.AddressGuard), $"{to.Id} begins to take them");
        var at = await KillAfterAsync(to, afterMs);

        await Eventually.IsTrue(() => Watch.Latest is [.., var last] && last.Mac != MacOf(to) && ActObserver.Now - at > 2 * GoneWithinUs, "another machine has them");
        await ShouldBeSilentAsync(to, at + GoneWithinUs);
        await ShouldNeverOverlapAsync(since);
        old.ShouldNotBe(to);
    }

    // Points of a stop: before it is told, while the guard takes them away, afterwards.
    [Theory(Skip = WhySkipped, SkipWhen = nameof(HasNoNamespaces))]
    [InlineData(0)]
    [InlineData(4)]
    [InlineData(8)]
    [InlineData(15)]
    [InlineData(30)]
    public async Task While_it_gives_them_up(int afterMs)
    {
        var old = await HeldByMasterAsync();
        var since = ActObserver.Now;
        var moving = old.AskAsync("/v1/requests/move", "{\"service\":\"default\"}");
        var at = await KillAfterAsync(old, afterMs);
        await moving; // answered or not: the one who was asked has been killed

        await TakenFromAsync(old);
        await Task.Delay(TimeSpan.FromMilliseconds(500));
        await ShouldBeSilentAsync(old, at + GoneWithinUs);
        await ShouldNeverOverlapAsync(since);
    }

    [Fact(Skip = WhySkipped, SkipWhen = nameof(HasNoNamespaces))] // Wrong program: announces when it thaws, and neighbours send to the old machine for minutes.
    public async Task A_machine_that_thaws_when_another_one_has_them_says_nothing()
    {
        var old = await HeldByMasterAsync();
        var since = ActObserver.Now;
        old.Signal(RunningProcess.SIGSTOP);
        await TakenFromAsync(old);

        var thawedAt = old.Thaw();
        await Eventually.IsTrue(() => !Addresses(old).Contains(Address4, StringComparison.Ordinal), "it takes them off its interface");
        await Task.Delay(TimeSpan.FromSeconds(1));
        await ShouldBeSilentAsync(old, thawedAt);
        await ShouldNeverOverlapAsync(since);
    }

    [Fact(Skip = WhySkipped, SkipWhen = nameof(HasNoNamespaces))] // Wrong program: waits for somebody who takes them away, and nobody is left.
    public async Task What_nobody_is_left_to_take_away_the_kernel_takes_away()
    {
        var old = await HeldByMasterAsync();
        old.KillEverything();
        await Eventually.IsTrue(() => !Addresses(old).Contains(Address4, StringComparison.Ordinal) && !Addresses(old).Contains(VipCluster.Address6, StringComparison.Ordinal), "its kernel has removed both", TimeSpan.FromSeconds(15));
    }

    [Fact(Skip = WhySkipped, SkipWhen = nameof(HasNoNamespaces))] // Wrong program: has no gate, and counts on an end of the address that is not to be.
    public async Task The_gate_alone_is_enough_when_the_addresses_have_no_end()
    {
        var master = await HeldByMasterAsync();
        var at = master.Signal(RunningProcess.SIGSTOP, Role.Daemon, Role.Drivers, Role.AddressGuard);
        string[][] forEver = [[$"{Address4}/24"], [$"{VipCluster.Address6}/64"]];
        foreach (var address in forEver) Machines.Network.In(Number(master), ["ip", "address", "change", .. address, "dev", "eth0", "valid_lft", "forever", "preferred_lft", "forever"]);
        master.Signal(RunningProcess.SIGKILL, Role.Daemon, Role.Drivers, Role.AddressGuard);

        await TakenFromAsync(master);
        await Eventually.IsTrue(() => ActObserver.Now > at + 4 * GoneWithinUs, "it was silent for a while");
        await ShouldBeSilentAsync(master, at + GoneWithinUs);
        Addresses(master).ShouldContain(Address4);
        foreach (var address in forEver) Machines.Network.In(Number(master), ["ip", "address", "del", .. address, "dev", "eth0"]);
    }

    private static async Task<long> KillAfterAsync(Machine machine, int ms)
    {
        if (ms > 0) await Task.Delay(ms);
        return machine.KillAtOnce(Role.Daemon, Role.Drivers, Role.AddressGuard);
    }

    private async Task SettleAsync(Machine master, long at, int signal, Role[] roles)
    {
        if (roles is [Role.AddressGuard])
        {
            // The driver process takes them away, and another guard has them again.
            await Eventually.IsTrue(() => Watch.Since(at + GoneWithinUs).Count > 100, "somebody has them");
        }
        else if (signal == RunningProcess.SIGSTOP && !roles.Contains(Role.Daemon))
        {
            // The daemon is well and its driver only silent: nothing moves until it thaws or dies.
            await Eventually.IsTrue(() => ActObserver.Now > at + 2 * GoneWithinUs, "it was silent for a while");
            await ShouldBeSilentAsync(master, at + GoneWithinUs);
        }
        else if (!roles.Contains(Role.Daemon))
        {
            // Usually another machine has them, on the proof of the app's guard. Where the app had been started twice under this token the proof does not count: then its lease is waited for,
            // and the next driver process, which is back by then, may have them here again.
            await Eventually.IsTrue(() => ActObserver.Now > at + 2 * GoneWithinUs && Watch.Since(at + GoneWithinUs).Count > 100, "somebody has them again");
            if (Watch.Since(at + GoneWithinUs).All(seen => seen.Mac != MacOf(master))) await ShouldBeSilentAsync(master, at + GoneWithinUs);
        }
        else
        {
            await TakenFromAsync(master);
            await ShouldBeSilentAsync(master, at + GoneWithinUs);
        }

        if (signal == RunningProcess.SIGSTOP) master.Thaw();
    }
}
