using Clustd.Client;

namespace Clustd.Drivers.Holding;

/// <summary>
/// Stops what a manager outside runs, with a deadline: asks first; from <c>killAt</c> on kills, by the manager and by the kernel, whatever the manager does. Guards and drivers stop by it.
/// </summary>
internal static class OuterStop
{
    private const long AskAgainMicros = 200_000;

    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(5);
    private static readonly TimeSpan KillCallLimit = TimeSpan.FromSeconds(5);

    /// <summary>
    /// Null: the manager says that nothing runs, and the cgroups are empty: proof. Else what is left, or why that cannot be known, when <paramref name="limit"/> has passed.
    /// Instants in µs on <see cref="DriverClock"/>.
    /// </summary>
    /// <param name="cgroups">Asked at each look: one may become known on the way.</param>
    public static async Task<string?> RunAsync(IHeld held, Func<IReadOnlyList<Cgroup>> cgroups, long killAt, long limit, CancellationToken cancellationToken)
    {
        using var given = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task stop = held.StopAsync(Courtesy(killAt, DriverClock.NowUs), given.Token);
        long askAt = DriverClock.NowUs + AskAgainMicros, killAgainAt = killAt;
        string? refused = null;
        try
        {
            while (true)
            {
                await Task.WhenAny(stop.IsCompleted ? Task.Delay(Look, cancellationToken) : stop, Task.Delay(Look, cancellationToken)).ConfigureAwait(false);
                cancellationToken.ThrowIfCancellationRequested();
                long now = DriverClock.NowUs;
                if (stop.IsCompletedSuccessfully && cgroups().All(each => each.IsEmpty)) return null;
                if (stop is { IsCompleted: true, IsCompletedSuccessfully: false })
                {
                    refused = WhyOf(stop);
                    if (now >= askAt) (stop, askAt) = (held.StopAsync(Courtesy(killAt, now), given.Token), now + AskAgainMicros);
                }
                // What has been stopped and has left something behind is given no more time.
                if (now >= killAt || stop.IsCompletedSuccessfully)
                {
                    if (!stop.IsCompletedSuccessfully && now >= killAgainAt)
                    {
                        _ = KillAsync(held, given.Token);
                        killAgainAt = now + AskAgainMicros;
                    }
                    foreach (var each in cgroups().Where(each => !each.IsEmpty))
                        if (each.Kill() is { } why) refused = $"{each.Describe()} cannot be killed: {why}";
                }
                if (now >= limit) return Left(cgroups(), refused);
            }
        }
        finally
        {
            await given.CancelAsync().ConfigureAwait(false);
            _ = stop.Exception; // observed: what it said is in the answer
        }
    }

    private static TimeSpan Courtesy(long killAt, long now) => TimeSpan.FromMicroseconds(Math.Max(0, killAt - now));

    private static async Task KillAsync(IHeld held, CancellationToken cancellationToken)
    {
        try
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            limit.CancelAfter(KillCallLimit);
            await held.KillAsync(limit.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is DriverFailedException or OperationCanceledException)
        {
            // The stop says the same, and the cgroups are killed without the manager.
        }
    }

    private static string Left(IReadOnlyList<Cgroup> cgroups, string? refused)
    {
        var left = cgroups.Where(each => !each.IsEmpty).Select(each => each.Describe()).ToList();
        if (left.Count > 0) return $"still running: {string.Join(", ", left)}{(refused is null ? "" : $" ({refused})")}";
        return refused ?? "it was not seen stopped in time";
    }

    private static string WhyOf(Task stop) => stop.Exception?.InnerException?.Message ?? "the call was given up";
}
