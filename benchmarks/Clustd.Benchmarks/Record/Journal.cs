using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;

namespace Clustd.Benchmarks.Record;

/// <summary>All runs, one JSON line each, appended as they end: what is cut short keeps what it has measured.</summary>
public sealed class Journal(string path, Session session)
{
    public Session Session => session;

    public Run Add(string measurement, string subject, string @case, int number, SortedDictionary<string, double> values, string? failure)
    {
        var run = new Run(measurement, subject, @case, number, values, failure, DateTimeOffset.Now, Load()) { Session = session };
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.AppendAllText(path, JsonSerializer.Serialize(run, RunJson.Default.Run) + "\n");
        return run;
    }

    /// <summary>Of each measurement and subject what the newest session that has any says: a repetition replaces, it does not dilute.</summary>
    public static ImmutableArray<Run> Newest(string path)
    {
        if (!File.Exists(path)) return [];
        return
        [
            .. File.ReadLines(path).Select(line => JsonSerializer.Deserialize(line, RunJson.Default.Run)!)
                .GroupBy(run => (run.Measurement, run.Subject))
                .SelectMany(runs => runs.GroupBy(run => run.Session.Started).MaxBy(session => session.Key)!),
        ];
    }

    public static double Load() => double.Parse(File.ReadAllText("/proc/loadavg").Split(' ')[0], CultureInfo.InvariantCulture);
}
