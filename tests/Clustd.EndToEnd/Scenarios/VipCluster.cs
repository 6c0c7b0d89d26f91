using Clustd.EndToEnd.Harness;
using Shouldly;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>Three machines and a neighbour on one network; an app and two addresses follow the master.</summary>
public class VipCluster : SharedCluster
{
    public const string Address6 = "fd00:99::9", Own6 = "fd00:99::64";
    public const int Neighbour = 4;

    /// <summary>More keys of the vip driver.</summary>
    protected virtual string Keys => "";

    protected override ClusterPlan Plan => new()
    {
        InNamespaces = true,
        Neighbours = 1,
        Rest = ClusterPlan.SupervisedApp + $"  - vip: {{ addresses: [{{net}}.200/24, '{Address6}/64'], interface: eth0{Keys} }}\n",
    };
}

/// <summary>What the stories about addresses have in common: who has them, and what a neighbour hears.</summary>
public abstract class VipScenario(VipCluster vips) : Scenario(vips), IAsyncLifetime
{
    // Lease 1 s and kill_timeout 0.5 s.
    protected const long GoneWithinUs = 1_500_000;

    public static bool HasNoNamespaces { get; } = NamespacedNetwork.WhyNot() is not null;

    protected const string WhySkipped = "needs root and `ip` (Debian's iproute2), to make network namespaces";

    protected AddressWatch Watch { get; private set; } = null!;

    protected string Address4 => $"{Net}.200";

    private string Net => Machines.Network.AddressOf(VipCluster.Neighbour)[..^2];

    async ValueTask IAsyncLifetime.InitializeAsync()
    {
        await InitializeAsync();
        foreach (var number in (int[])[1, 2, 3])
        {
            // With a neighbour that it need not look for, a machine that answers says nothing else.
            Machines.Network.In(number, "ip", "neigh", "replace", Machines.Network.AddressOf(VipCluster.Neighbour), "lladdr", Mac(VipCluster.Neighbour), "dev", "eth0", "nud", "permanent");
            Machines.Network.In(number, "ip", "neigh", "replace", VipCluster.Own6, "lladdr", Mac(VipCluster.Neighbour), "dev", "eth0", "nud", "permanent");
        }

        Machines.Network.In(VipCluster.Neighbour, "ip", "address", "replace", $"{VipCluster.Own6}/64", "dev", "eth0", "nodad");
        Watch = new AddressWatch(Machines.Network.NameOf(VipCluster.Neighbour), Mac(VipCluster.Neighbour), Machines.Network.AddressOf(VipCluster.Neighbour), VipCluster.Own6,
            Machines.All.Select(MacOf), Address4, VipCluster.Address6);
        try
        {
            await HeldByMasterAsync();
        }
        catch
        {
            // The story has not begun, so nobody else tells what went wrong, or makes the cluster anew.
            TestContext.Current.TestOutputHelper?.WriteLine($"{string.Join("\n", Machines.All.Select(machine => $"{machine.Id} {MacOf(machine)}\n{Addresses(machine)}"))}\n{string.Join("\n", Watch.Answers.TakeLast(6))}\n{Machines.Logs()}");
            Watch.Dispose();
            await vips.ForgetAsync();
            throw;
        }
    }

    async ValueTask IAsyncDisposable.DisposeAsync()
    {
        GC.SuppressFinalize(this);
        Watch.Dispose();
        await DisposeAsync();
    }

    protected static int Number(Machine machine) => int.Parse(machine.Id.Split('-')[1]);

    protected string MacOf(Machine machine) => Mac(Number(machine));

    protected string Mac(int number) => Machines.Network.MacOf(number);

    protected string Addresses(Machine machine) => Machines.Network.In(Number(machine), "ip", "-o", "address", "show", "dev", "eth0");

    /// <summary>Waits until the master's machine, and only that one, answers in all three ways.</summary>
    protected async Task<Machine> HeldByMasterAsync() =>
        await Eventually.Gives(() =>
        {
            var since = Watch.Latest;
            return since.Select(each => each.Mac).Distinct().ToList() is [var mac] && since.Select(each => each.Kind).Distinct().Count() == 3 && mac == MacOf(Machines.Master) ? Machines.Master : null;
        }, "the master's machine answers for both addresses");

    /// <summary>Waits until another machine than <paramref name="old"/> answers in all three ways.</summary>
    protected Task TakenFromAsync(Machine old) =>
        Eventually.IsTrue(() => Watch.Latest is var since && since.Select(each => each.Kind).Distinct().Count() == 3 && since.All(each => each.Mac != MacOf(old)),
            $"another machine than {old.Id} answers");

    /// <summary>From this instant on the machine has not answered, up to now.</summary>
    protected async Task ShouldBeSilentAsync(Machine machine, long from)
    {
        await Watch.CatchUpAsync();
        Watch.Since(from).ShouldAllBe(answer => answer.Mac != MacOf(machine), $"{machine.Id} answered later than it may");
    }

    // Before an address is taken it is asked for 0.2 s whether somebody has it: so long it is silent between two machines. Two that have it at once answer by turns, every 8 ms.
    private const long GapMinUs = 100_000;

    /// <summary>P2 as a neighbour sees it: whoever answers does so a while after the one before has fallen silent.</summary>
    protected async Task ShouldNeverOverlapAsync(long since)
    {
        await Watch.CatchUpAsync();
        foreach (var address in Watch.Since(since).GroupBy(answer => answer.Kind == "ping6"))
        {
            var tenures = new List<(string Mac, long From, long To)>();
            foreach (var answer in address)
            {
                if (tenures is [.., var last] && last.Mac == answer.Mac) tenures[^1] = last with { To = answer.At };
                else tenures.Add((answer.Mac, answer.At, answer.At));
            }

            var story = string.Join("\n", tenures.Select(each => $"{each.Mac} {(each.From - since) / 1e3:0.0} to {(each.To - since) / 1e3:0.0} ms"));
            foreach (var (old, next) in tenures.Zip(tenures.Skip(1))) (next.From - old.To).ShouldBeGreaterThan(GapMinUs, $"two machines answered at once:\n{story}");
        }
    }
}
