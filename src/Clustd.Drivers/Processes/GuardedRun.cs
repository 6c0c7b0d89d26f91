namespace Clustd.Drivers.Processes;

/// <summary>How a command ended that was to run to its end.</summary>
internal abstract record GuardedRunEnd
{
    private GuardedRunEnd() { }

    /// <param name="Lines">Its last lines of output, oldest first.</param>
    public sealed record Ended(ChildExit Exit, IReadOnlyList<string> Lines) : GuardedRunEnd;

    /// <param name="Fate">What has become of it, as a sentence: "it was killed with all that it started".</param>
    public sealed record TimedOut(string Fate) : GuardedRunEnd;

    public sealed record NotRun(string Reason) : GuardedRunEnd;
}

/// <summary>
/// Runs a script under a guard to its end. One that does not end in time, or is given up, is killed with all its descendants; what it leaves in the background when it ends by itself lives on, or is held: <see cref="GuardSpec.HoldsTheRest"/>.
/// </summary>
internal static class GuardedRun
{
    // How long before its limit it is sent TERM, so that it can clean up before the KILL.
    private static readonly TimeSpan CourtesyMax = TimeSpan.FromSeconds(1);

    /// <param name="started">Takes the guard's end at once: who holds what the command leaves renews the lease and ends it.</param>
    /// <exception cref="OperationCanceledException">Given up; nothing of it runs any more, or that could not be brought about.</exception>
    public static async Task<GuardedRunEnd> RunAsync(GuardCommand guard, GuardSpec spec, TimeSpan limit, Action<string> output, CancellationToken cancellationToken,
        Action<GuardedProcess>? started = null)
    {
        cancellationToken.ThrowIfCancellationRequested();
        long end = Clustd.Client.DriverClock.NowUs + (long)limit.TotalMicroseconds;
        var process = GuardedProcess.Start(guard, spec, output);
        started?.Invoke(process);
        await using var _ = cancellationToken.Register(process.Kill).ConfigureAwait(false);
        var courtesy = limit / 4 < CourtesyMax ? limit / 4 : CourtesyMax;
        bool timedOut = await Task.WhenAny(process.Exited, process.Gone, Task.Delay(limit - courtesy)).ConfigureAwait(false) is var first
            && first != process.Exited && first != process.Gone;
        if (timedOut) process.Stop(end, $"no end within {limit.TotalSeconds:0.###} s");
        await Task.WhenAny(process.Exited, process.Gone).ConfigureAwait(false);
        if (timedOut || cancellationToken.IsCancellationRequested)
        {
            GuardedEnd gone = await process.Gone.ConfigureAwait(false);
            cancellationToken.ThrowIfCancellationRequested();
            return new GuardedRunEnd.TimedOut(gone.IsProven ? "it was killed with all that it started" : $"it was killed, but still running is {gone.Left}");
        }
        if (process.Exited.IsCompletedSuccessfully) return new GuardedRunEnd.Ended(await process.Exited.ConfigureAwait(false), process.LastLines);
        string reason = process.Started.Exception?.InnerException?.Message ?? (await process.Gone.ConfigureAwait(false)).Reason;
        return new GuardedRunEnd.NotRun(reason);
    }
}
