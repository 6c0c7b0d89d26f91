using System.Diagnostics;
using System.Text.Json.Serialization.Metadata;
using Clustd.Client.Protocol;
using Clustd.Client.Running;

namespace Clustd.Client.Connection;

/// <summary>Keeps one driver connected: connects, registers, reads, and begins anew, on one thread of its own, until it is shut down.</summary>
internal sealed class DriverConnection : IServiceHost
{
    private static readonly TimeSpan BackoffMin = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan BackoffMax = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan BackoffMaxUnderLease = TimeSpan.FromMilliseconds(100); // The lease runs out meanwhile.
    private static readonly TimeSpan ProofLimit = TimeSpan.FromSeconds(1);

    private readonly DriverMachine machine;
    private readonly DriverClient client;
    private readonly DaemonAddress address;
    private readonly LeaseKeeper keeper;
    private readonly Notices logNotices = new("clustd log");
    private readonly Notices leaseNotices = new("clustd lease news"); // Not behind the log: a child process may depend on it.
    private readonly object gate = new();
    private readonly ManualResetEventSlim stopping = new();
    private readonly TaskCompletionSource first = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly SortedDictionary<string, ServiceTriggers> services = new(StringComparer.Ordinal);
    private volatile ServiceTriggers[] allServices = []; // Copy of the values, for readers without the lock.
    private volatile TaskCompletionSource<DaemonLink> registered = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private DaemonLink? current;
    private bool shuttingDown;
    private string? lastProblem;
    private (string Service, long KillAt)? deadlineReported;

    public DriverConnection(DriverMachine machine)
    {
        this.machine = machine;
        client = machine.Client;
        address = DaemonAddress.Parse(machine.Host);
        keeper = new LeaseKeeper(machine.Clock, () => allServices, LeaseOver, LeaseChanged, DeadlinePassed, isRealClock: client.TimeProvider is null);
        new Thread(Work) { IsBackground = true, Name = "clustd driver", Priority = ThreadPriority.AboveNormal }.Start();
    }

    /// <summary>Done when first registered; failed with <see cref="DriverRefusedException"/> if refused before that.</summary>
    public Task First => first.Task;

    public LeaseEnd LeaseEnd => keeper.End;

    public long LeaseEndsAtUs => keeper.EndsAtUs;

    public bool IsConnected => registered.Task.IsCompleted;

    public long NowUs => machine.Clock();

    public void Run(Trigger trigger, CancellationToken cancellationToken) => machine.RunTrigger(trigger, cancellationToken);

    public bool HoldsLease(long nowUs) => keeper.HoldsLease(nowUs);

    public void LeaseWanted() => keeper.RenewSoon();

    public void DeadlinesChanged() => keeper.Wake();

    public void Log(DriverLogLevel level, string text) => logNotices.Post(() => machine.WriteLog(level, text));

    /// <summary>See <see cref="DriverMachine.LeaseOf"/>.</summary>
    public Lease? LeaseOf(string? service)
    {
        var leases = allServices.Where(triggers => service is null || triggers.Service == service).Select(triggers => triggers.Lease).OfType<Lease>().ToList();
        return leases.Count <= 1 ? leases.FirstOrDefault() : throw new InvalidOperationException(
            $"Cannot tell which lease is meant: this driver was started for {string.Join(", ", leases.Select(lease => lease.Service))}. Name the service.");
    }

    /// <summary>Token of what may be running for a service, or null.</summary>
    public long? RunningToken(string service) => Array.Find(allServices, triggers => triggers.Service == service)?.Running;

    /// <summary>Sends a request and returns when the daemon has taken it, over as many connections as that needs.</summary>
    public async Task ReportAsync<T>(string method, Func<T?> parameters, JsonTypeInfo<T> type, CancellationToken cancellationToken) where T : class
    {
        while (parameters() is { } now)
        {
            Task<DaemonLink> link;
            lock (gate)
                link = registered.Task;
            var answer = await (await link.WaitAsync(cancellationToken)).RequestAsync(method, now, type).WaitAsync(cancellationToken);
            if (answer is { Error: { } error })
                throw new InvalidOperationException($"The daemon at {address} refused '{method}': {error.Message}");
            if (answer is not null)
                return;
            await Task.Delay(BackoffMin, cancellationToken); // The connection was lost; the next one takes a moment.
        }
    }

    /// <summary>Stops everything, says so, disconnects. What cannot be stopped in time is left to the lease: it ends, and the deadline after it.</summary>
    public async Task ShutDownAsync(TimeSpan stopLimit)
    {
        const string reason = "the driver is shutting down";
        var stops = new List<Task>();
        lock (gate)
            shuttingDown = true; // No connection is taken up any more, so no service can appear behind our back.
        foreach (var service in allServices)
            service.CloseToStarts();
        foreach (var service in allServices)
        {
            var stopped = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            var any = service.StopNow(reason, kill: false, killDeadline: null, (error, token) =>
            {
                if (error is null)
                    ProveStopped(service.Service, token, reason).ContinueWith(_ => stopped.SetResult(), TaskScheduler.Default);
                else
                    stopped.SetException(new InvalidOperationException(error.Message));
            });
            if (any)
                stops.Add(stopped.Task);
        }
        try
        {
            await Task.WhenAll(stops).WaitAsync(stopLimit);
        }
        catch (Exception e) when (e is TimeoutException or InvalidOperationException)
        {
            Log(DriverLogLevel.Error, $"Not everything stopped when the driver was shut down: {e.Message} It counts as running until the lease is over. Correct the driver's stop.");
        }

        stopping.Set();
        DaemonLink? link;
        lock (gate)
            link = current;
        link?.Close();
        first.TrySetException(new DriverRefusedException($"Cannot connect to the daemon at {address}: the driver was shut down. Make a new one to connect again."));
        if (Array.TrueForAll(allServices, service => service.Running is null))
            EndThreads(); // Else they stay: somebody must see the lease end, stop again, and see the deadline.
    }

    private void Work()
    {
        var backoff = BackoffMin;
        while (!stopping.IsSet)
        {
            var connectedAt = 0L;
            try
            {
                using var link = DaemonLink.Open(address, client.Secret, client.EffectiveName);
                var terms = Register(link);
                connectedAt = Stopwatch.GetTimestamp();
                Attach(link, terms);
                link.Read(message => Receive(link, message));
            }
            catch (DriverRefusedException e)
            {
                if (first.TrySetException(e))
                {
                    stopping.Set();
                    EndThreads();
                    return; // Nothing was ever registered, so nothing can be running.
                }
                LogProblem(DriverLogLevel.Error, e.Message);
            }
            catch (IOException e) when (!stopping.IsSet)
            {
                LogProblem(DriverLogLevel.Warning, e.Message);
            }
            catch (IOException)
            {
                // Shutting down: the connection was closed by ourselves.
            }
            finally
            {
                Detach();
            }

            // A connection that held for a while shows that the daemon is well; one that broke at once does not.
            if (connectedAt != 0 && Stopwatch.GetElapsedTime(connectedAt) > BackoffMax)
                backoff = BackoffMin;
            var most = HoldsLease(NowUs) && backoff > BackoffMaxUnderLease ? BackoffMaxUnderLease : backoff;
            stopping.Wait(most * (0.5 + Random.Shared.NextDouble() / 2)); // Jitter: the drivers of a machine do not come back in step.
            backoff = backoff * 2 < BackoffMax ? backoff * 2 : BackoffMax;
        }
    }

    private RegisterResult Register(DaemonLink link)
    {
        var parameters = new RegisterParams
        {
            Name = client.EffectiveName,
            Instance = machine.Instance,
            Id = client.Id,
            Services = client.Services,
            Order = client.Order,
            Required = client.Required,
            Stop = client.Stop == StopGuarantee.BestEffort ? RegisterParams.StopBestEffort : RegisterParams.StopCertain,
            StopTimeoutUs = Microseconds(client.StopTimeout),
            KillTimeoutUs = Microseconds(client.KillTimeout),
            Fences = client.Fences.Count > 0 ? client.Fences : null,
            ProcessId = Environment.ProcessId,
            States = [.. allServices.Select(service => service.State).OfType<DriverState>()],
        };
        RpcMessage answer;
        try
        {
            answer = link.Call(DriverMethods.Register, parameters, ProtocolJson.Default.RegisterParams);
        }
        catch (Exception e) when (DaemonLink.IsConnectionFault(e))
        {
            throw new IOException($"Cannot register '{client.EffectiveName}' with the daemon at {address}: {DaemonLink.Reason(e)}. It is tried again.", e);
        }
        if (answer.Error is { Code: DriverErrorCodes.InstanceBusy } busy)
            throw new IOException(busy.Message);
        if (answer.Error is { } error)
            throw new DriverRefusedException(error.Message);
        if (answer.ReadResult(ProtocolJson.Default.RegisterResult) is not { RenewEveryUs: >= 1_000, KillTimeoutUs: >= 0 } terms || terms.LeaseUs < terms.RenewEveryUs)
            throw new IOException($"Cannot register with the daemon at {address}: its answer makes no sense. Check that its version fits this driver's.");
        return terms;
    }

    private void Attach(DaemonLink link, RegisterResult terms)
    {
        lock (gate)
        {
            if (shuttingDown)
                throw new IOException("The driver is shutting down.");
            foreach (var name in terms.Services)
            {
                if (!services.ContainsKey(name))
                    services.Add(name, new ServiceTriggers(name, this));
            }
            allServices = [.. services.Values];
            current = link;
            registered.TrySetResult(link);
        }
        link.StartWriting();
        keeper.Connected(link, terms);
        lastProblem = null;
        machine.Registered(terms.Machine);
        Log(DriverLogLevel.Info, $"Registered with {terms.Machine} at {address} as '{client.EffectiveName}' for {string.Join(", ", terms.Services)}.");
        first.TrySetResult();
    }

    private void Detach()
    {
        lock (gate)
        {
            current = null;
            if (registered.Task.IsCompleted)
                registered = new TaskCompletionSource<DaemonLink>(TaskCreationOptions.RunContinuationsAsynchronously);
        }
        keeper.Disconnected();
        foreach (var service in allServices)
            service.ConnectionLost();
    }

    private void Receive(DaemonLink link, RpcMessage message)
    {
        if (message.Method == DriverMethods.Cancel)
        {
            if (message.ReadParams(ProtocolJson.Default.CancelParams) is { } cancel)
                Array.Find(allServices, service => service.Service == cancel.Service)?.Cancel(cancel.Sequence);
            if (message.IsRequest)
                link.Send(RpcMessage.Success(message, EmptyResult.Instance, ProtocolJson.Default.EmptyResult));
            return;
        }
        if (!message.IsRequest)
            return; // A notification that we do not know: a newer daemon may have more to say.
        if (message.Method != DriverMethods.Trigger)
        {
            link.Send(RpcMessage.Failure(message, DriverErrorCodes.MethodNotFound, $"'{message.Method}' is unknown to this driver, which speaks {DriverProtocol.SubProtocol}."));
            return;
        }
        if (message.ReadParams(ProtocolJson.Default.TriggerParams) is not { Service: not null } trigger)
        {
            link.Send(RpcMessage.Failure(message, DriverErrorCodes.InvalidParams, "A trigger needs service, isMaster, token and sequence."));
            return;
        }
        if (Array.Find(allServices, service => service.Service == trigger.Service) is not { } triggers)
        {
            link.Send(RpcMessage.Failure(message, DriverErrorCodes.InvalidParams, $"This driver was not registered for '{trigger.Service}'."));
            return;
        }
        triggers.Tell(trigger with { Reason = trigger.Reason ?? "" }, error => link.Send(error is null
            ? RpcMessage.Success(message, EmptyResult.Instance, ProtocolJson.Default.EmptyResult)
            : RpcMessage.Failure(message, error.Code, error.Message)));
    }

    private void LeaseOver(long endedAt, long killTimeout)
    {
        const string reason = "lease over: the daemon has not renewed it, so another machine may take over";
        var deadline = endedAt + killTimeout - ServiceTriggers.KillMargin(killTimeout);
        foreach (var service in allServices)
        {
            service.StopNow(reason, kill: true, deadline, (error, token) =>
            {
                if (error is null)
                    _ = ProveStopped(service.Service, token, reason);
            });
        }
        Log(DriverLogLevel.Warning, "The lease is over: the daemon has not renewed it. What runs here is stopped; look at the daemon's log for why.");
    }

    // Completes when the daemon has taken it or never will; while disconnected there is nothing to do, the next register tells the state.
    private Task ProveStopped(string service, long token, string reason)
    {
        DaemonLink? link;
        lock (gate)
            link = current;
        if (link is null)
            return Task.CompletedTask;
        var proof = new StoppedParams { Name = client.EffectiveName, Instance = machine.Instance, Service = service, Token = token, Reason = reason };
        return Task.WhenAny(link.RequestAsync(DriverMethods.Stopped, proof, ProtocolJson.Default.StoppedParams), Task.Delay(ProofLimit));
    }

    private void LeaseChanged(LeaseEnd lease)
    {
        foreach (var service in allServices)
            service.LeaseChanged();
        leaseNotices.Post(() => machine.TellLeaseChanged(lease));
    }

    private void DeadlinePassed(string service, long killAt)
    {
        if (deadlineReported == (service, killAt))
            return;
        deadlineReported = (service, killAt);
        var what = $"'{service}' has not stopped in time: its stop has not returned, and another machine may start it now.";
        if (client.Stop == StopGuarantee.Certain)
            machine.EndProcessNow($"clustd: {what} This process ends itself, as it promised (stop: certain). Make the stop faster or raise kill_timeout.");
        else
            Log(DriverLogLevel.Error, $"{what} Make the stop faster or raise kill_timeout.");
    }

    private void EndThreads()
    {
        foreach (var service in allServices)
            service.End();
        keeper.Stop();
        logNotices.End();
        leaseNotices.End();
    }

    private void LogProblem(DriverLogLevel level, string text)
    {
        if (lastProblem == text)
            return; // Said once; it is tried many times.
        lastProblem = text;
        Log(level, text);
    }

    private static long? Microseconds(TimeSpan? time) => time is { } value ? value.Ticks / TimeSpan.TicksPerMicrosecond : null;
}
