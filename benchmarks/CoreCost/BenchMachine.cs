using System.Diagnostics;
using Clustd.Core;

namespace Clustd.CoreCost;

/// <summary>One core and what its steps have cost: time and allocated bytes of this thread, nothing else.</summary>
internal sealed class BenchMachine(MachineCore core)
{
    private long _ticks;

    public MachineCore Core => core;

    public MachineId Id => core.Settings.Self;

    public bool IsAlive { get; set; } = true;

    public long Steps { get; private set; }

    public long Bytes { get; private set; }

    public TimeSpan Cpu => Stopwatch.GetElapsedTime(0, _ticks);

    public void Step(Input input, Instant now, List<Output> into)
    {
        var bytes = GC.GetAllocatedBytesForCurrentThread();
        var started = Stopwatch.GetTimestamp();
        var outputs = core.Step(input, now);
        _ticks += Stopwatch.GetTimestamp() - started;
        Bytes += GC.GetAllocatedBytesForCurrentThread() - bytes;
        Steps++;
        into.Clear();
        into.AddRange(outputs);
    }

    public void Forget()
    {
        _ticks = 0;
        Steps = 0;
        Bytes = 0;
    }
}
