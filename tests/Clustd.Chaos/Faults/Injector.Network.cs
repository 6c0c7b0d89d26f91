using Clustd.Chaos.History;
using Clustd.Chaos.Plan;
using Clustd.Chaos.Run;

namespace Clustd.Chaos.Faults;

/// <summary>What is done to wires.</summary>
internal sealed partial class Injector
{
    private async Task CutCableAsync(PlannedFault planned)
    {
        if (await TakeCableAsync(planned) is not { } keeper) return;
        try
        {
            var id = Begin(planned, Ids(keeper), "");
            cluster.Machines.Network.PullCable(keeper.Id);
            await Task.Delay(planned.For);
            cluster.Machines.Network.PlugIn(keeper.Id);
            End(id);
        }
        finally
        {
            keeper.Cable.Release();
        }
    }

    private async Task DropSilentlyAsync(PlannedFault planned)
    {
        if (await TakeCableAsync(planned) is not { } keeper) return;
        try
        {
            var id = Begin(planned, Ids(keeper), "");
            cluster.Machines.Network.DropSilently(keeper.Id);
            await Task.Delay(planned.For);
            cluster.Machines.Network.Forward(keeper.Id);
            End(id);
        }
        finally
        {
            keeper.Cable.Release();
        }
    }

    private async Task DropOneWayAsync(PlannedFault planned)
    {
        if (HasNoFirewall(planned)) return;
        var keeper = await AimAsync(planned);
        var isDeaf = planned.Level < 0.5;
        var id = Begin(planned, Ids(keeper), isDeaf ? "it hears nobody" : "nobody hears it");
        var at = isDeaf ? [keeper] : Others(keeper);
        foreach (var each in at) cluster.Firewall.Drop(id, each.Number, isDeaf ? [] : [keeper.Number]);
        await Task.Delay(planned.For);
        foreach (var each in at) cluster.Firewall.Allow(id, each.Number);
        End(id);
    }

    private async Task CutPairAsync(PlannedFault planned)
    {
        if (HasNoFirewall(planned)) return;
        var one = await AimAsync(planned);
        var others = Others(one);
        var other = others[planned.OtherPick % others.Count];
        var id = Begin(planned, Ids(one, other), "they do not hear each other");
        cluster.Firewall.Drop(id, one.Number, [other.Number]);
        cluster.Firewall.Drop(id, other.Number, [one.Number]);
        await Task.Delay(planned.For);
        cluster.Firewall.Allow(id, one.Number);
        cluster.Firewall.Allow(id, other.Number);
        End(id);
    }

    private async Task LosePacketsAsync(PlannedFault planned)
    {
        if (HasNoFirewall(planned)) return;
        var keeper = await AimAsync(planned);
        var share = 0.02 + (0.38 * planned.Level);
        var id = Begin(planned, Ids(keeper), $"{share:P0} each way");
        cluster.Firewall.Drop(id, keeper.Number, [], share);
        foreach (var other in Others(keeper)) cluster.Firewall.Drop(id, other.Number, [keeper.Number], share);
        await Task.Delay(planned.For);
        foreach (var each in cluster.Keepers) cluster.Firewall.Allow(id, each.Number);
        End(id);
    }

    private bool HasNoFirewall(PlannedFault planned)
    {
        if (Firewall.WhyNot is not { } why) return false;
        Skip(planned, why);
        return true;
    }

    private IReadOnlyList<Keeper> Others(Keeper keeper) => [.. cluster.Keepers.Where(other => other != keeper)];
}
