using System.Diagnostics;
using System.Text.Json.Serialization.Metadata;
using Clustd.Client.Connection;
using Clustd.Client.Protocol;

namespace Clustd.Client;

/// <summary>
/// Base of a driver: connects to the local daemon, is told when this machine becomes the master of a service and when it stops being so, and stops
/// by itself when its lease runs out. Override <see cref="Trigger(bool)"/> or <see cref="TriggerAsync"/>, then <see cref="ConnectAsync"/>.
/// </summary>
/// <remarks>
/// Calls for one service come one at a time, in order, on a thread of its own; a driver that has just connected is told its state at once, <c>false</c>
/// included. A lost connection calls nothing: the driver reconnects, and stops only when the lease is over.
/// </remarks>
public abstract class DriverMachine : IAsyncDisposable
{
    private static readonly TimeSpan StopTimeoutDefault = TimeSpan.FromSeconds(10); // As a service's stop_timeout.

    private readonly object gate = new();
    private DriverConnection? connection;
    private bool disposed;

    /// <summary>A driver for the daemon at <paramref name="host"/>: <c>ws://127.0.0.1:3001</c>, also with a path, or without <c>ws://</c>.</summary>
    /// <exception cref="ArgumentException">The address cannot be used, or the secret is empty.</exception>
    protected DriverMachine(DriverClient client, string host)
    {
        ArgumentNullException.ThrowIfNull(client);
        if (string.IsNullOrEmpty(client.Secret))
            throw new ArgumentException("Cannot make a driver without a secret: the daemon would refuse it. Set DriverClient.Secret to the value of cluster.secret.");
        DaemonAddress.Parse(host);
        Client = client;
        Host = host;
        Clock = client.TimeProvider is { } time ? () => (long)((Int128)time.GetTimestamp() * 1_000_000 / time.TimestampFrequency) : () => DriverClock.NowUs;
    }

    /// <summary>How this driver presents itself.</summary>
    public DriverClient Client { get; }

    /// <summary>Address of the daemon, as given.</summary>
    public string Host { get; }

    /// <summary>Random, new with every object: by it the daemon tells a reconnect from a second copy, and a guard says whose processes it watched.</summary>
    public string Instance { get; } = Guid.NewGuid().ToString("N");

    /// <summary>The name that the daemon knows this driver by: <see cref="DriverClient.Name"/> or its default.</summary>
    public string Name => Client.EffectiveName;

    /// <summary>Id of the machine; null until first registered.</summary>
    public string? Machine { get; private set; }

    /// <summary>Whether the daemon is connected and has registered this driver. A lost connection ends nothing: the lease does.</summary>
    public bool IsConnected => connection?.IsConnected ?? false;

    /// <summary>Until when this driver may act as master, whatever it is told to act for; for drivers that pass it on to a process of their own.</summary>
    public LeaseEnd LeaseEnd => connection?.LeaseEnd ?? default;

    /// <summary>The driver's clock, microseconds.</summary>
    internal Func<long> Clock { get; init; }

    /// <summary>What this driver was granted for a service that it was started for, until a stop has succeeded; null while there is nothing of the kind.</summary>
    /// <param name="service">The service; null: the only one that it was started for.</param>
    /// <exception cref="InvalidOperationException"><paramref name="service"/> is null and it was started for several.</exception>
    public Lease? LeaseOf(string? service = null) => connection?.LeaseOf(service);

    /// <summary>
    /// Connects and returns once registered; a daemon that is not there yet is waited for. Afterwards the driver reconnects by itself for ever.
    /// </summary>
    /// <exception cref="DriverRefusedException">The secrets differ, or the daemon refuses this driver for good.</exception>
    /// <exception cref="OperationCanceledException">Cancelled before it was registered; the driver is shut down.</exception>
    public async Task ConnectAsync(CancellationToken cancellationToken = default)
    {
        DriverConnection started;
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(disposed, this);
            if (connection is { First.IsFaulted: true })
                connection = null; // Refused: the reason may have been removed since.
            started = connection ??= new DriverConnection(this);
        }
        try
        {
            await started.First.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            await started.ShutDownAsync(Client.StopTimeout ?? StopTimeoutDefault);
            throw;
        }
    }

    /// <summary>Connects, stays until <paramref name="cancellationToken"/> is cancelled, then stops what runs and disconnects.</summary>
    /// <exception cref="DriverRefusedException">As in <see cref="ConnectAsync"/>.</exception>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            await ConnectAsync(cancellationToken);
            await Task.Delay(Timeout.InfiniteTimeSpan, cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            await DisposeAsync();
        }
    }

    /// <summary>
    /// Reports that what was running for a service has failed by itself: the daemon demotes it and lets another machine try. Returns when the daemon has taken
    /// it, or when there is nothing to report any more: it has stopped, or is to stop (<see cref="Lease.CancellationToken"/>). So a stop may wait for whoever awaits this.
    /// </summary>
    public async Task ReportFailedAsync(string service, string reason, CancellationToken cancellationToken = default)
    {
        var failed = connection?.RunningToken(service);
        var lease = connection?.LeaseOf(service);
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, lease?.CancellationToken ?? CancellationToken.None);
        try
        {
            await ReportAsync(
                DriverMethods.Failed,
                () => connection?.RunningToken(service) is { } token && token == failed
                    ? new FailedParams { Service = service, Token = token, Reason = Cut(reason) }
                    : null,
                ProtocolJson.Default.FailedParams,
                over.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // It is to stop, and the daemon knows: either it said so, or it has been away for as long as the lease.
        }
    }

    /// <summary>Reports how a service is doing here. Returns when the daemon has taken it.</summary>
    public Task ReportHealthAsync(string service, bool ok, string detail, CancellationToken cancellationToken = default)
    {
        var health = new HealthParams { Service = service, Ok = ok, Detail = Cut(detail) };
        return ReportAsync(DriverMethods.Health, () => health, ProtocolJson.Default.HealthParams, cancellationToken);
    }

    /// <summary>Adds a line to the cluster's event history. Returns when the daemon has taken it.</summary>
    public Task ReportEventAsync(DriverLogLevel level, string text, CancellationToken cancellationToken = default)
    {
        var line = new EventParams { Level = level.ToString().ToLowerInvariant(), Text = Cut(text) };
        return ReportAsync(DriverMethods.Event, () => line, ProtocolJson.Default.EventParams, cancellationToken);
    }

    /// <summary>Stops what runs, tells the daemon so (the next master starts in milliseconds), and disconnects.</summary>
    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        DriverConnection? open;
        lock (gate)
        {
            disposed = true;
            open = connection;
        }
        if (open is not null)
            await open.ShutDownAsync(Client.StopTimeout ?? StopTimeoutDefault);
    }

    /// <summary>The 2018 way: true, this machine is the master, start; false, stop, and return only when it has stopped.</summary>
    protected virtual void Trigger(bool isMaster)
    {
    }

    /// <summary>
    /// Start or stop. Complete the task only when it has happened: the daemon waits for it, and a completed stop lets another machine start. An exception is
    /// reported to the daemon with its message. By default calls <see cref="Trigger(bool)"/>.
    /// </summary>
    /// <param name="trigger">What to do, and why.</param>
    /// <param name="cancellationToken">
    /// Cancelled during a start when it is to be given up (a stop follows as soon as it returns), and during a planned stop when the lease ends (the stop
    /// follows again, with <see cref="Clustd.Client.Trigger.Kill"/>).
    /// </param>
    protected virtual Task TriggerAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        Trigger(trigger.IsMaster);
        return Task.CompletedTask;
    }

    /// <summary>
    /// The lease was extended or has ended; for drivers that pass it on to a process of their own. Called several times per lease, one call at a time, on a thread
    /// of its own; what a slow override cannot keep up with is left out.
    /// </summary>
    protected virtual void LeaseChanged(LeaseEnd lease)
    {
    }

    /// <summary>What the SDK has to say. By default warnings and errors go to stderr.</summary>
    protected virtual void Log(DriverLogLevel level, string text)
    {
        if (level >= DriverLogLevel.Warning)
            Console.Error.WriteLine($"clustd: {text}");
    }

    /// <summary>
    /// The deadline of a stop has passed and the driver promised to be gone (<see cref="StopGuarantee.Certain"/>): writes one line to stderr and ends this process
    /// with SIGKILL, or does what <see cref="DriverClient.EndProcess"/> says. Nothing is unwound: cleaning up is what did not return in time.
    /// </summary>
    protected virtual void EndProcess(string message)
    {
        if (Client.EndProcess is { } end)
        {
            end(message);
            return;
        }
        // On a thread of its own: nobody may be reading stderr, and then writing to it blocks.
        var line = new Thread(() => Console.Error.WriteLine(message)) { IsBackground = true };
        line.Start();
        line.Join(millisecondsTimeout: 5);
        Process.GetCurrentProcess().Kill();
    }

    internal void RunTrigger(Trigger trigger, CancellationToken cancellationToken) => TriggerAsync(trigger, cancellationToken).GetAwaiter().GetResult();

    internal void Registered(string machine) => Machine = machine;

    internal void EndProcessNow(string message) => EndProcess(message);

    internal void TellLeaseChanged(LeaseEnd lease)
    {
        try
        {
            LeaseChanged(lease);
        }
        catch (Exception e)
        {
            WriteLog(DriverLogLevel.Error, $"LeaseChanged failed: {e.Message} The lease itself is kept. Correct the driver. {e}");
        }
    }

    internal void WriteLog(DriverLogLevel level, string text)
    {
        try
        {
            Log(level, text);
        }
        catch (Exception)
        {
            // A log that cannot be written has nowhere to be reported, and must not end the process.
        }
    }

    private Task ReportAsync<T>(string method, Func<T?> parameters, JsonTypeInfo<T> type, CancellationToken cancellationToken)
        where T : class =>
        connection?.ReportAsync(method, parameters, type, cancellationToken)
        ?? throw new InvalidOperationException($"Cannot report '{method}': the driver was never connected. Call ConnectAsync first.");

    private static string Cut(string text) => text.Length <= DriverProtocol.TextCharsMax ? text : text[..DriverProtocol.TextCharsMax];
}
