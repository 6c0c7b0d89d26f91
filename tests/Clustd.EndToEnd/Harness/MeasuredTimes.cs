using System.Globalization;
using System.Text;
using Clustd.EndToEnd.Harness;
using Xunit;

[assembly: Xunit.v3.Parallelization(Mode = Xunit.Sdk.ParallelMode.None)] // They share the processor, and time is what they are about.
[assembly: AssemblyFixture(typeof(MeasuredTimes))]

namespace Clustd.EndToEnd.Harness;

/// <summary>What the scenarios measured, as one table at the end: seen by the observer, on whatever machine this ran, asserted by nobody.</summary>
public sealed class MeasuredTimes : IDisposable
{
    private static readonly Lock Gate = new();
    private static readonly List<(string Event, double? StoppedMs, double? TakeoverMs)> Rows = [];

    /// <param name="what">The event.</param>
    /// <param name="at">When it happened, µs.</param>
    /// <param name="old">Who was the master.</param>
    /// <param name="next">Who is now; null: nobody.</param>
    public static void Add(string what, long at, Tenure? old, Tenure? next)
    {
        lock (Gate) Rows.Add((what, old is null ? null : (old.LastAt - at) / 1e3, next is null ? null : (next.FirstAt - at) / 1e3));
    }

    public void Dispose()
    {
        if (Rows.Count == 0) return;
        var table = new StringBuilder("| event | old app's last act, ms after it | new app's first act, ms after it |\n|---|---|---|\n");
        foreach (var (what, stopped, takeover) in Rows) table.Append(CultureInfo.InvariantCulture, $"| {what} | {Text(stopped)} | {Text(takeover)} |\n");
        Console.WriteLine($"\n{table}");
        if (Root() is { } root) File.WriteAllText(Path.Combine(Directory.CreateDirectory(Path.Combine(root, "artifacts")).FullName, "e2e-times.md"), table.ToString());
    }

    private static string Text(double? milliseconds) => milliseconds is { } known ? known.ToString("0.0", CultureInfo.InvariantCulture) : "-";

    private static string? Root()
    {
        var directory = new DirectoryInfo(AppContext.BaseDirectory);
        while (directory is not null && !File.Exists(Path.Combine(directory.FullName, "clustd.slnx"))) directory = directory.Parent;
        return directory?.FullName;
    }
}
