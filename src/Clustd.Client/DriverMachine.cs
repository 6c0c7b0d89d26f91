using Clustd.Client.Protocol;

namespace Clustd.Client;

/// <summary>Base of a driver.</summary>
public abstract class DriverMachine : IAsyncDisposable
{
    /// <summary>A driver that will connect to the daemon at <paramref name="host"/>.</summary>
    protected DriverMachine(DriverClient client, string host)
    {
        Client = client;
        Host = host;
    }

    /// <summary>How this driver presents itself.</summary>
    public DriverClient Client { get; }

    /// <summary>Where the daemon is.</summary>
    public string Host { get; }

    /// <summary>Random, new with every object.</summary>
    public string Instance { get; } = Guid.NewGuid().ToString("N");

    /// <summary>Id of the machine, once registered.</summary>
    public string? Machine { get; private set; }

    /// <summary>Until when this driver may act as master.</summary>
    public LeaseEnd Lease => default;

    /// <summary>Start or stop.</summary>
    protected virtual void Trigger(bool isMaster)
    {
    }

    /// <summary>Start or stop.</summary>
    protected virtual Task TriggerAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        Trigger(trigger.IsMaster);
        return Task.CompletedTask;
    }

    /// <summary>The lease was extended or has ended.</summary>
    protected virtual void LeaseChanged(LeaseEnd lease)
    {
    }

    /// <summary>Log.</summary>
    protected virtual void Log(DriverLogLevel level, string text)
    {
    }

    /// <summary>Returns once registered.</summary>
    public Task ConnectAsync(CancellationToken cancellationToken = default) => Task.FromCanceled(new CancellationToken(true));

    /// <summary>Connects and stays.</summary>
    public Task RunAsync(CancellationToken cancellationToken) => ConnectAsync(cancellationToken);

    /// <summary>Reports that what was running failed by itself.</summary>
    public Task ReportFailedAsync(string service, string reason, CancellationToken cancellationToken = default) => Task.FromCanceled(new CancellationToken(true));

    /// <summary>Reports how a service is doing.</summary>
    public Task ReportHealthAsync(string service, bool ok, string detail, CancellationToken cancellationToken = default) => Task.FromCanceled(new CancellationToken(true));

    /// <summary>A line for the event history.</summary>
    public Task ReportEventAsync(DriverLogLevel level, string text, CancellationToken cancellationToken = default) => Task.FromCanceled(new CancellationToken(true));

    /// <summary>Stops and disconnects.</summary>
    public ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        return ValueTask.CompletedTask;
    }
}
