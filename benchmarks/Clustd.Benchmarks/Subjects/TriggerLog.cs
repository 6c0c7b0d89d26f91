using System.Globalization;
using Clustd.EndToEnd.Harness;

namespace Clustd.Benchmarks.Subjects;

/// <summary>A trigger as the probe on a machine got it; at: CLOCK_MONOTONIC, µs.</summary>
internal sealed record Triggered(string Machine, string Service, long Token, bool IsMaster, long At);

/// <summary>What all probes say, in the kernel's order.</summary>
internal sealed class TriggerLog : IDisposable
{
    private readonly Lock _gate = new();
    private readonly List<Triggered> _all = [];
    private readonly FileStream _pipe;
    private readonly Thread _reader;

    public TriggerLog(string directory)
    {
        Pipe = ActObserver.MakePipe(Path.Combine(directory, "triggers"));
        _pipe = new FileStream(Pipe, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);
        _reader = new Thread(Read) { IsBackground = true, Name = "trigger log" };
        _reader.Start();
    }

    public string Pipe { get; }

    public IReadOnlyList<Triggered> All
    {
        get
        {
            lock (_gate) return [.. _all];
        }
    }

    public void Forget()
    {
        lock (_gate) _all.Clear();
    }

    public void Dispose()
    {
        _pipe.Write("end\n"u8);
        _reader.Join();
        _pipe.Dispose();
    }

    private void Read()
    {
        using var lines = new StreamReader(_pipe, leaveOpen: true);
        while (lines.ReadLine() is { } line && line != "end")
        {
            if (line.Split(' ') is not [var machine, var service, var token, var isMaster, var at]) continue;
            var said = new Triggered(machine, service, long.Parse(token, CultureInfo.InvariantCulture), isMaster == "true", long.Parse(at, CultureInfo.InvariantCulture));
            lock (_gate) _all.Add(said);
        }
    }
}
