using System.Globalization;
using Clustd.Benchmarks.Record;
using Clustd.Benchmarks.Subjects;

namespace Clustd.Benchmarks;

/// <summary>What all measurements share: how often, with which programs, where the results go, and what a person who waits is told.</summary>
internal sealed class Bench(Journal journal, Tools tools, int runs, TextWriter progress)
{
    public int Runs => runs;

    public Tools Tools => tools;

    /// <summary>Measures once, and records it. A failed run is recorded as such, with what the subject's machines said last; false: it failed.</summary>
    /// <exception cref="OperationCanceledException">Nothing is recorded then: a run that was not let to its end has not failed.</exception>
    public async Task<bool> MeasureAsync(
        string measurement, string subject, string @case, int number, int of, Func<SortedDictionary<string, double>, Task> measure, Func<string> logs, CancellationToken cancellationToken)
    {
        var values = new SortedDictionary<string, double>(StringComparer.Ordinal);
        string? failure = null;
        try
        {
            await measure(values).WaitAsync(cancellationToken);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            failure = e.Message;
            values.Clear();
        }

        var run = journal.Add(measurement, subject, @case, number, values, failure);
        var what = failure is null ? string.Join(", ", values.Select(value => string.Create(CultureInfo.InvariantCulture, $"{value.Key} {value.Value:0.0}"))) : $"FAILED: {failure}";
        Say($"{measurement}, {subject}, {@case}: run {number} of {of}: {what} (load {run.Load.ToString("0.0", CultureInfo.InvariantCulture)})");
        if (failure is not null) Say(logs());
        return failure is null;
    }

    public void Say(string line) => progress.WriteLine($"{DateTime.Now:HH:mm:ss} {line}");
}
