using System.Diagnostics;
using Clustd.EndToEnd.Harness;

namespace Clustd.Benchmarks.Subjects;

/// <summary>Three machines in network namespaces with something on them that keeps one app acting: clustd, or a peer.</summary>
internal abstract class Subject : IAsyncDisposable
{
    protected Subject(ClusterPlan plan, Tools tools)
    {
        Tools = tools;
        Machines = Machines.Prepare(plan with { InNamespaces = true });
    }

    /// <summary>For tables.</summary>
    public abstract string Name { get; }

    /// <summary>Situations that make a difference to it; each is measured on its own.</summary>
    public abstract IReadOnlyList<string> Cases { get; }

    /// <summary>What it promises, ms; null: nothing.</summary>
    public virtual double? BoundMs => null;

    public Machines Machines { get; }

    public ActObserver Acts => Machines.Acts;

    public NamespacedNetwork Network => Machines.Network;

    protected Tools Tools { get; }

    /// <summary>Starts whatever is down, and waits until all is well and one app acts.</summary>
    public abstract Task MakeHealthyAsync();

    /// <summary>Brings a case about; returns whether it is so.</summary>
    public abstract Task<bool> ArrangeAsync(string @case);

    /// <summary>What only this subject can tell about a takeover, added to its values.</summary>
    public virtual Task ExplainAsync(Takeover takeover, SortedDictionary<string, double> values) => Task.CompletedTask;

    /// <summary>A run with this machine as the lost one is over; the fault is still there.</summary>
    public virtual void BeforeHealing(Machine lost)
    {
    }

    /// <summary>The last words of all machines, for a run that failed.</summary>
    public virtual string Logs() => Machines.Logs(lines: 15);

    public virtual ValueTask DisposeAsync() => Machines.DisposeAsync();

    /// <summary>Starts a process that belongs to a machine: in its namespace, with its mark, so that it dies with it.</summary>
    public static Process StartOn(Machine machine, string log, params string[] command) =>
        Process.Start(ClustdProgram.StartInfo(
            ["/bin/sh", "-c", "exec \"$@\" >>\"$E2E_LOG\" 2>&1 </dev/null", "sh", "ip", "netns", "exec", machine.Namespace!, .. command],
            new Dictionary<string, string>(machine.Environment) { ["E2E_LOG"] = Path.Combine(machine.Home, log) }))!;

    /// <summary>Waits until one app acts, and no other one.</summary>
    protected async Task OneActsAsync()
    {
        await Machines.ShouldGoOnActingAsync(TimeSpan.FromMilliseconds(100));
        await Eventually.IsTrue(
            async () =>
            {
                Acts.ForgetRefused();
                await Task.Delay(300);
                return Acts.Refused.Count == 0 && Acts.Newest() is { } newest && ActObserver.Now - newest.LastAt < 100_000;
            },
            "exactly one app acts");
    }
}

/// <summary>Programs that the benchmarks run.</summary>
/// <param name="Probe">Compiled ahead of time.</param>
/// <param name="App">Command line of the app that acts.</param>
internal sealed record Tools(string Probe, string App);

/// <summary>A fault and what came of it.</summary>
/// <param name="At">Of the fault; CLOCK_MONOTONIC, µs.</param>
internal sealed record Takeover(Machine Lost, long At, DateTimeOffset AtWallClock, Tenure Old, Tenure Next);
