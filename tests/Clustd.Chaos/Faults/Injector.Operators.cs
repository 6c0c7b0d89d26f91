using Clustd.Chaos.History;
using Clustd.Chaos.Plan;
using Clustd.Chaos.Run;

namespace Clustd.Chaos.Faults;

/// <summary>What operators do, while all this goes on.</summary>
internal sealed partial class Injector
{
    private readonly SemaphoreSlim _marks = new(1); // Drains and pauses, one after the other: a register has one writer.

    private async Task DrainAsync(PlannedFault planned)
    {
        var keeper = await AimAsync(planned);
        await _marks.WaitAsync();
        try
        {
            var id = Begin(planned, Ids(keeper), "");
            await _operator.RunAsync(_operator.On(planned), "drain", keeper.Id);
            await Task.Delay(planned.For);
            await _operator.UndoAsync("undrain", keeper.Id);
            End(id);
        }
        finally
        {
            _marks.Release();
        }
    }

    private async Task PauseAsync(PlannedFault planned)
    {
        await _marks.WaitAsync();
        try
        {
            var id = Begin(planned, [], "");
            await _operator.RunAsync(_operator.On(planned), "pause");
            await Task.Delay(planned.For);
            await _operator.UndoAsync("unpause");
            End(id);
        }
        finally
        {
            _marks.Release();
        }
    }

    private async Task MoveAsync(PlannedFault planned)
    {
        var service = Cluster.Services[planned.Pick % Cluster.Services.Count];
        var from = cluster.Machines.Acts.Newest(service)?.Machine;
        var to = cluster.Keepers[planned.OtherPick % cluster.Keepers.Count].Id;
        var id = Begin(planned, from is null ? [] : [from], $"'{service}' {(planned.Level < 0.5 ? "to " + to : "anywhere")}");
        await _operator.RunAsync(_operator.On(planned), "move", planned.Level < 0.5 ? [service, to] : [service]);
        End(id);
    }

    private async Task MoveLeaderAsync(PlannedFault planned)
    {
        var to = cluster.Keepers[planned.OtherPick % cluster.Keepers.Count].Id;
        var id = Begin(planned, Ids(cluster.Keepers), $"to {to}");
        await _operator.RunAsync(_operator.On(planned), "leader", to);
        End(id);
    }
}
