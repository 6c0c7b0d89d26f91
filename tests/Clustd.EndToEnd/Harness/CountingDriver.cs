using Clustd.Client;

namespace Clustd.EndToEnd.Harness;

/// <summary>A driver in the test's own process that counts what it is told. It needs nothing of the service, and the service nothing of it.</summary>
public sealed class CountingDriver(string name, string host, string secret)
    : DriverMachine(new DriverClient { Name = name, Secret = secret, EndProcess = _ => { } }, host)
{
    private int _triggers;

    public int Triggers => Volatile.Read(ref _triggers);

    protected override Task TriggerAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _triggers);
        return Task.CompletedTask;
    }

    protected override void Log(DriverLogLevel level, string text)
    {
        // Lost connections are what these tests are about.
    }
}
