using System.Collections.Concurrent;
using Clustd.Client;

namespace Clustd.Tests.Client;

/// <summary>A driver that writes down what it is told and does what the test wants.</summary>
internal sealed class RecordingDriver(DriverClient client, string host) : DriverMachine(client, host)
{
    private int inFlight;

    public RecordingDriver(ScriptedDaemon daemon) : this(new DriverClient { Secret = ScriptedDaemon.Secret, Id = "recorder" }, daemon.Url)
    {
    }

    public ConcurrentQueue<Trigger> Calls { get; } = new();

    public ConcurrentQueue<string> Lines { get; } = new();

    public ConcurrentQueue<string> Ended { get; } = new();

    public bool Overlapped { get; private set; }

    public Func<Trigger, CancellationToken, Task> Do { get; set; } = (_, _) => Task.CompletedTask;

    /// <summary>The calls so far, like "+5 -5": plus for starts, minus for stops, ! for kill.</summary>
    public string Story => string.Join(' ', Calls.Select(call => $"{(call.IsMaster ? '+' : '-')}{call.Token}{(call.Kill ? "!" : "")}"));

    protected override async Task TriggerAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        Overlapped |= Interlocked.Increment(ref inFlight) != 1;
        Calls.Enqueue(trigger);
        try
        {
            await Do(trigger, cancellationToken);
        }
        finally
        {
            Interlocked.Decrement(ref inFlight);
        }
    }

    protected override void Log(DriverLogLevel level, string text) => Lines.Enqueue(text);

    protected override void EndProcess(string message) => Ended.Enqueue(message);
}

internal static class Eventually
{
    /// <summary>Waits for a condition; the patience is only used up when the test fails.</summary>
    public static async Task HoldsAsync(Func<bool> condition, Func<string> otherwise)
    {
        var until = Environment.TickCount64 + (long)ScriptedDaemon.Patience.TotalMilliseconds;
        while (!condition())
        {
            if (Environment.TickCount64 > until)
                throw new TimeoutException(otherwise());
            await Task.Delay(2);
        }
    }
}
