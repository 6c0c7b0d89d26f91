using System.Diagnostics;
using System.Text;

namespace Clustd.Benchmarks.Probe;

/// <summary>A pipe that all machines write lines to: one write per line, so that the kernel puts them into one order.</summary>
internal sealed class LinePipe(string path)
{
    private readonly FileStream pipe = new(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);

    /// <summary>CLOCK_MONOTONIC, µs: the same in all processes of this machine, whatever namespace they are in.</summary>
    public static long Now => Stopwatch.GetTimestamp() / (Stopwatch.Frequency / 1_000_000);

    public void Write(string line) => pipe.Write(Encoding.UTF8.GetBytes(line + "\n"));
}
