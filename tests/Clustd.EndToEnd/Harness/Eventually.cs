using System.Diagnostics;

namespace Clustd.EndToEnd.Harness;

/// <summary>Waits for conditions. The deadline only says when to give up: nothing is proven by being fast.</summary>
public static class Eventually
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(40);
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(20);

    public static Task IsTrue(Func<bool> condition, string what, TimeSpan? patience = null) => IsTrue(() => Task.FromResult(condition()), what, patience);

    public static Task IsTrue(Func<Task<bool>> condition, string what, TimeSpan? patience = null) =>
        Gives(async () => await condition() ? "yes" : null, what, patience);

    /// <summary>The first answer that is not null.</summary>
    public static Task<T> Gives<T>(Func<T?> look, string what, TimeSpan? patience = null)
        where T : class => Gives(() => Task.FromResult(look()), what, patience);

    /// <summary>The first answer that is not null.</summary>
    public static async Task<T> Gives<T>(Func<Task<T?>> look, string what, TimeSpan? patience = null)
        where T : class
    {
        var since = Stopwatch.GetTimestamp();
        while (true)
        {
            if (await look() is { } answer) return answer;
            if (Stopwatch.GetElapsedTime(since) > (patience ?? Patience)) throw new TimeoutException($"Not seen within {(patience ?? Patience).TotalSeconds:0} s: {what}.");
            await Task.Delay(LookEvery);
        }
    }
}
