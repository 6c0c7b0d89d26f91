using System.Diagnostics;

namespace Clustd.Conformance.Stage;

/// <summary>What was heard, in order, and somebody who waits for what is not there yet.</summary>
internal sealed class Journal<T>(string about)
    where T : class
{
    private readonly object gate = new();
    private readonly List<T> entries = [];
    private TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public IReadOnlyList<T> All
    {
        get { lock (gate) return [.. entries]; }
    }

    public void Add(T entry)
    {
        lock (gate)
        {
            entries.Add(entry);
            changed.TrySetResult();
            changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }
    }

    /// <summary>The first that fits, after as many others that fit.</summary>
    /// <exception cref="TimeoutException">It did not come; the message says what did.</exception>
    public async Task<T> FirstAsync(Func<T, bool> fits, string what, TimeSpan patience, int after = 0)
    {
        var since = Stopwatch.StartNew();
        while (true)
        {
            Task next;
            lock (gate)
            {
                if (entries.Where(fits).Skip(after).FirstOrDefault() is { } found)
                    return found;
                next = changed.Task;
            }
            var left = patience - since.Elapsed;
            if (left <= TimeSpan.Zero)
                throw new TimeoutException($"Waited {patience.TotalSeconds:0.#} s in vain for {what}. {about}:\n  {string.Join("\n  ", All.TakeLast(40))}");
            await Task.WhenAny(next, Task.Delay(left));
        }
    }
}
