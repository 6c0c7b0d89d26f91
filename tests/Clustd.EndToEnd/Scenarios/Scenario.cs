using Clustd.EndToEnd.Harness;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>One cluster for the scenarios of a class: starting one costs seconds. A scenario that failed leaves it to be made anew.</summary>
public abstract class SharedCluster : IAsyncDisposable
{
    private Machines? _machines;

    protected abstract ClusterPlan Plan { get; }

    public async Task<Machines> HealthyAsync()
    {
        if (_machines is null) return _machines = await Machines.StartAsync(Plan);
        await _machines.MakeHealthyAsync();
        return _machines;
    }

    public async ValueTask ForgetAsync()
    {
        if (_machines is { } machines) await machines.DisposeAsync();
        _machines = null;
    }

    public virtual async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        await ForgetAsync();
    }
}

/// <summary>A story about a cluster that is healthy at its beginning. When it fails, it tells what the machines said.</summary>
public abstract class Scenario(SharedCluster cluster) : IAsyncLifetime
{
    protected Machines Machines { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        try
        {
            Machines = await cluster.HealthyAsync();
        }
        catch
        {
            await cluster.ForgetAsync();
            Machines = await cluster.HealthyAsync();
        }
    }

    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        if (TestContext.Current.TestState?.Result == TestResult.Failed)
        {
            TestContext.Current.TestOutputHelper?.WriteLine(Machines.Logs());
            await cluster.ForgetAsync();
        }
    }
}
