using System.Net;
using System.Net.Sockets;
using System.Text.Json.Serialization.Metadata;
using Clustd.Client.Protocol;

namespace Clustd.Client.Testing;

/// <summary>
/// A clustd daemon for tests, in the test's own process: it speaks the real protocol over loopback, and makes a driver master when the test says so. Give the
/// driver <see cref="Client"/> and <see cref="Url"/>. Time stands still until the test moves <see cref="Clock"/>, so no lease is lost by accident, and
/// nothing has to sleep.
/// </summary>
/// <remarks>All verbs return when the driver has done what it was told, or throw: <see cref="TriggerFailedException"/>, or <see cref="TimeoutException"/>
/// with what was waited for and what was heard.</remarks>
public sealed class FakeDaemon : IAsyncDisposable
{
    private readonly TcpListener listener;
    private readonly CancellationTokenSource ended = new();
    private readonly object gate = new();
    private readonly List<HeardCall> calls = [];
    private readonly List<ToldTrigger> triggers = [];
    private readonly List<FakeConnection> connections = []; // All that were ever accepted.
    private readonly List<FakeConnection> registered = []; // In the order of their registration.
    private readonly SortedDictionary<string, long> masters = new(StringComparer.Ordinal); // Services that are to run, with their tokens.
    private readonly List<Func<Task>> heldAnswers = [];
    private readonly List<string> processEnds = [];
    private TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int registeredTaken;
    private int failuresTaken;
    private int holds;
    private long lastToken;
    private long grantedUntilUs = long.MinValue;

    private FakeDaemon(FakeDaemonOptions options)
    {
        Options = options;
        listener = new TcpListener(IPAddress.Loopback, options.Port);
        listener.Start();
        Client = new DriverClient { Secret = options.Secret, Id = "driver-under-test", TimeProvider = Clock, EndProcess = ProcessWouldEnd };
        _ = AcceptAsync();
    }

    /// <summary>Starts a daemon on a free port of loopback.</summary>
    public static FakeDaemon Start(FakeDaemonOptions? options = null) => new(options ?? new FakeDaemonOptions());

    /// <summary>How it was set up.</summary>
    public FakeDaemonOptions Options { get; }

    /// <summary>Address for the driver: <c>ws://127.0.0.1:PORT</c>.</summary>
    public string Url => $"ws://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}";

    /// <summary>
    /// What to make the driver with: the daemon's secret, its clock, and an end of the process that is only noted (<see cref="ProcessEnds"/>), so that a stop
    /// that hangs past its deadline does not end the tests. Change the rest by <c>with</c>.
    /// </summary>
    public DriverClient Client { get; }

    /// <summary>The clock that leases are counted on, by the daemon and by drivers made with <see cref="Client"/>.</summary>
    public FakeClock Clock { get; } = new();

    /// <summary>What is left of the lease when a renewal is answered, counted from the driver's stamp.</summary>
    public TimeSpan LeaseLeft { get; set; } = TimeSpan.FromMilliseconds(900);

    /// <summary>Whether renewals are answered with a lease. False: with no statement, as by a daemon that has lost its quorum; what was granted before runs out.</summary>
    public bool Grants { get; set; } = true;

    /// <summary>Whether renewals are answered at all. A driver leaves a daemon that does not.</summary>
    public bool AnswersRenewals { get; set; } = true;

    /// <summary>Why drivers are refused for good when they register; null: they are not.</summary>
    public string? Refusal { get; set; }

    /// <summary>Answers renewals instead of the properties above; its null means no answer.</summary>
    public Func<RenewParams, RenewResult?>? OnRenew { get; set; }

    /// <summary>Refuses registrations instead of <see cref="Refusal"/>; its null means that the driver is taken.</summary>
    public Func<RegisterParams, RpcError?>? OnRegister { get; set; }

    /// <summary>What a driver that registers is told; null: what follows from <see cref="Options"/>.</summary>
    public RegisterResult? Terms { get; set; }

    /// <summary>All that drivers have asked and told, in order; renewals included.</summary>
    public IReadOnlyList<HeardCall> Calls
    {
        get { lock (gate) return [.. calls]; }
    }

    /// <summary>All that drivers were told by the verbs, and by <see cref="FakeDaemonOptions.TellsStateAtOnce"/>, in order.</summary>
    public IReadOnlyList<ToldTrigger> Triggers
    {
        get { lock (gate) return [.. triggers]; }
    }

    /// <summary>Proofs that something has stopped: what a driver sends when it stops by itself.</summary>
    public IReadOnlyList<StoppedParams> Stopped => Said(DriverMethods.Stopped, ProtocolJson.Default.StoppedParams);

    /// <summary>Failures that drivers have reported.</summary>
    public IReadOnlyList<FailedParams> Failures => Said(DriverMethods.Failed, ProtocolJson.Default.FailedParams);

    /// <summary>Why drivers made with <see cref="Client"/> would have ended their process, in order.</summary>
    public IReadOnlyList<string> ProcessEnds
    {
        get { lock (gate) return [.. processEnds]; }
    }

    /// <summary>The driver's present connection; waits for it.</summary>
    public Task<FakeConnection> ConnectedAsync() => UntilAsync(() => registered.FindLast(connection => connection.IsOpen), "a driver that is registered");

    /// <summary>The connection of the next driver that registers, or registers again; each is handed out once.</summary>
    public Task<FakeConnection> NextConnectionAsync() =>
        UntilAsync(() => registeredTaken < registered.Count ? registered[registeredTaken++] : null, "a driver that registers");

    /// <summary>
    /// Makes the driver master of a service, under a new token and with a lease. Returns when its start has succeeded. After a lapse it moves <see cref="Clock"/>
    /// by <see cref="FakeDaemonOptions.RenewEvery"/>, so that the driver asks again.
    /// </summary>
    /// <param name="service">Null: the first of <see cref="FakeDaemonOptions.Services"/>.</param>
    /// <returns>The token.</returns>
    /// <exception cref="TriggerFailedException">The driver's start failed. A real daemon would stop it then: do so by <see cref="DemoteAsync"/>.</exception>
    public async Task<long> PromoteAsync(string? service = null)
    {
        service ??= Options.Services[0];
        long token;
        bool isOver;
        lock (gate)
        {
            masters[service] = token = ++lastToken;
            Grants = true;
            isOver = grantedUntilUs != long.MinValue && grantedUntilUs <= Clock.NowUs;
        }
        if (isOver)
            Clock.Advance(Options.RenewEvery); // A driver asks for a lease once at an instant, and has asked in vain at this one.
        await TellAsync(service, isMaster: true, token, kill: false, Options.Patience);
        return token;
    }

    /// <summary>Stops a service in good order, as for a planned move. Returns when the stop has succeeded.</summary>
    /// <param name="service">Null: the first of <see cref="FakeDaemonOptions.Services"/>.</param>
    /// <exception cref="TriggerFailedException">The driver's stop failed; what it runs counts as running.</exception>
    public Task DemoteAsync(string? service = null) => StopAsync(service, kill: false, Options.Patience);

    /// <summary>Stops a service because its lease is over at the daemon: at once, and within <paramref name="limit"/> on <see cref="Clock"/>.</summary>
    /// <param name="service">Null: the first of <see cref="FakeDaemonOptions.Services"/>.</param>
    /// <param name="limit">Null: <see cref="FakeDaemonOptions.KillTimeout"/>.</param>
    /// <exception cref="TriggerFailedException">The driver's stop failed.</exception>
    public Task KillAsync(string? service = null, TimeSpan? limit = null) => StopAsync(service, kill: true, limit ?? Options.KillTimeout);

    /// <summary>Ends the driver's connection as a dying daemon does. The driver comes back by itself: <see cref="NextConnectionAsync"/>.</summary>
    public void DropConnection()
    {
        lock (gate)
        {
            foreach (var connection in registered)
                connection.Cut();
        }
    }

    /// <summary>Keeps back all answers to the driver, renewals' included, until the result is disposed; then they go out in their order.</summary>
    public IDisposable HoldAnswers()
    {
        lock (gate)
            holds++;
        return new Hold(this);
    }

    /// <summary>Moves <see cref="Clock"/>.</summary>
    public void Advance(TimeSpan time) => Clock.Advance(time);

    /// <summary>Grants nothing any more and moves <see cref="Clock"/> to the end of what was granted. Nothing is to run from now on.</summary>
    public void Lapse()
    {
        long end;
        lock (gate)
        {
            Grants = false;
            OnRenew = null;
            masters.Clear();
            end = grantedUntilUs;
        }
        if (end > Clock.NowUs)
            Clock.AdvanceToUs(end);
    }

    /// <summary><see cref="Lapse"/>, then waits until the driver has stopped by itself all that it was made master of.</summary>
    public async Task LapseAsync()
    {
        List<KeyValuePair<string, long>> running;
        lock (gate)
            running = [.. masters];
        Lapse();
        foreach (var (service, token) in running)
            await UntilAsync(() => HasStopped(service, token) ? this : null, $"the driver to stop '{service}' by itself, because its lease is over");
    }

    /// <summary>The next failure that the driver reports; each is handed out once.</summary>
    public Task<FailedParams> FailureAsync() => UntilAsync(() => Failures is var all && failuresTaken < all.Count ? all[failuresTaken++] : null, "the driver to report a failure");

    /// <summary>Waits until a driver made with <see cref="Client"/> would have ended its process, and returns why.</summary>
    public Task<string> ProcessEndedAsync() => UntilAsync(() => processEnds.LastOrDefault(), "the driver to end its process");

    /// <summary>Waits until the driver has called a method that it had not called before <paramref name="after"/> calls of it.</summary>
    /// <param name="method">One of <see cref="DriverMethods"/>.</param>
    /// <param name="after">How many calls of the method do not count.</param>
    public Task<HeardCall> HeardAsync(string method, int after = 0) => UntilAsync(() => calls.Where(call => call.Method == method).Skip(after).FirstOrDefault(), $"'{method}' from the driver");

    /// <summary>Ends the daemon and all its connections.</summary>
    public async ValueTask DisposeAsync()
    {
        await ended.CancelAsync();
        listener.Stop();
        lock (gate)
        {
            foreach (var connection in connections)
                connection.Cut();
        }
        listener.Dispose();
        ended.Dispose();
    }

    internal RegisterResult TermsOf(RegisterParams registration) => Terms ?? new RegisterResult
    {
        Machine = Options.Machine,
        LeaseUs = (long)Options.Lease.TotalMicroseconds,
        RenewEveryUs = (long)Options.RenewEvery.TotalMicroseconds,
        KillTimeoutUs = (long)Options.KillTimeout.TotalMicroseconds,
        Services = registration.Services is { Count: > 0 } named ? named : [Options.Services[0]],
    };

    internal RpcError? RefusalOf(RegisterParams registration) =>
        OnRegister is { } decide ? decide(registration) : Refusal is { } refusal ? RpcError.Of(DriverErrorCodes.RegisterRefused, refusal) : null;

    internal RenewResult? AnswerTo(RenewParams renewal)
    {
        lock (gate)
        {
            if (OnRenew is { } answer)
                return answer(renewal);
            if (!AnswersRenewals)
                return null;
            if (!Grants)
                return new RenewResult { Stamp = renewal.Stamp };
            var left = (long)LeaseLeft.TotalMicroseconds;
            grantedUntilUs = Math.Max(grantedUntilUs, renewal.Stamp + left);
            return new RenewResult { Stamp = renewal.Stamp, LeftUs = left };
        }
    }

    internal void Heard(RpcMessage message)
    {
        lock (gate)
        {
            calls.Add(new HeardCall(message.Method!, message.Params));
            ChangedLocked();
        }
    }

    internal void Registered(FakeConnection connection)
    {
        if (Options.TellsStateAtOnce)
            _ = Task.WhenAll(TermsOf(connection.Registration).Services.Select(service => TellStateAsync(connection, service)));
        // Only now can a verb use it: what it says comes after the state.
        lock (gate)
        {
            registered.Add(connection);
            ChangedLocked();
        }
    }

    internal void Ended(FakeConnection connection)
    {
        lock (gate)
        {
            connections.Remove(connection);
            ChangedLocked();
        }
    }

    internal Task WhenAnswering(Func<Task> send)
    {
        lock (gate)
        {
            if (holds > 0)
            {
                heldAnswers.Add(send);
                return Task.CompletedTask;
            }
        }
        return send();
    }

    private async Task StopAsync(string? service, bool kill, TimeSpan limit)
    {
        service ??= Options.Services[0];
        long token;
        lock (gate)
            token = masters.Remove(service, out var running) ? running : lastToken;
        await TellAsync(service, isMaster: false, token, kill, limit);
    }

    // A driver that loses its connection meanwhile comes back, and is told again.
    private async Task TellAsync(string service, bool isMaster, long token, bool kill, TimeSpan limit)
    {
        while (true)
        {
            var connection = await ConnectedAsync();
            try
            {
                var answer = await TellOnceAsync(connection, service, isMaster, token, kill, limit);
                if (answer.Error is { Code: DriverErrorCodes.TriggerSuperseded } && connection.IsOpen)
                    continue; // The same was said twice, by a verb and because the driver came back.
                if (answer.Error is { } error)
                    throw new TriggerFailedException(error.Code, error.Message);
                return;
            }
            catch (IOException) when (!ended.IsCancellationRequested)
            {
                await Task.Yield();
            }
        }
    }

    private async Task<RpcMessage> TellOnceAsync(FakeConnection connection, string service, bool isMaster, long token, bool kill, TimeSpan limit)
    {
        int place;
        lock (gate)
        {
            place = triggers.Count;
            triggers.Add(new ToldTrigger(service, isMaster, token, kill));
        }
        var answer = await connection.TriggerAsync(isMaster, token, service, kill, (long)limit.TotalMicroseconds);
        lock (gate)
        {
            triggers[place] = triggers[place] with { Acknowledged = answer.Error is null, Error = answer.Error?.Message };
            ChangedLocked();
        }
        return answer;
    }

    // What a daemon does for whoever comes: its state, `false` included, unless it says that it is there already.
    private async Task TellStateAsync(FakeConnection connection, string service)
    {
        long token;
        bool isMaster;
        lock (gate)
        {
            isMaster = masters.TryGetValue(service, out token);
            token = isMaster ? token : lastToken;
        }
        if (isMaster && connection.Registration.States.Any(state => state.Service == service && state.IsMaster && state.Token == token && !state.Unsettled))
            return;
        try
        {
            await TellOnceAsync(connection, service, isMaster, token, kill: false, Options.Patience);
        }
        catch (Exception e) when (e is IOException or TimeoutException)
        {
            // It is gone; the next connection is told.
        }
    }

    private bool HasStopped(string service, long token) =>
        Stopped.Any(proof => proof.Service == service && proof.Token >= token)
        || registered.Any(connection => connection.Registration.States.Any(state => state.Service == service && !state.IsMaster && state.Token >= token));

    private void ProcessWouldEnd(string reason)
    {
        lock (gate)
        {
            processEnds.Add(reason);
            ChangedLocked();
        }
    }

    private List<T> Said<T>(string method, JsonTypeInfo<T> type) where T : class =>
        [.. Calls.Where(call => call.Method == method).Select(call => new RpcMessage { Method = method, Params = call.Parameters }.ReadParams(type)).OfType<T>()];

    private void ChangedLocked()
    {
        changed.TrySetResult();
        changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    private async Task<T> UntilAsync<T>(Func<T?> probe, string what) where T : class
    {
        var since = System.Diagnostics.Stopwatch.StartNew();
        while (true)
        {
            Task next;
            lock (gate)
            {
                if (probe() is { } found)
                    return found;
                next = changed.Task;
            }
            var left = Options.Patience - since.Elapsed;
            if (left <= TimeSpan.Zero || ended.IsCancellationRequested)
            {
                var heard = string.Join(", ", Calls.Where(call => call.Method != DriverMethods.Renew).Select(call => call.Method));
                throw new TimeoutException($"Waited {since.Elapsed.TotalSeconds:0.#} s in vain for {what}. Heard from drivers so far: {(heard.Length > 0 ? heard : "nothing")}.");
            }
            await Task.WhenAny(next, Task.Delay(left)).ConfigureAwait(false);
        }
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var client = await listener.AcceptTcpClientAsync(ended.Token);
                client.NoDelay = true;
                var connection = new FakeConnection(this, client);
                lock (gate)
                    connections.Add(connection);
                _ = connection.ServeAsync();
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // The test is over.
        }
    }

    private sealed class Hold(FakeDaemon daemon) : IDisposable
    {
        private int released;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref released, 1) != 0)
                return;
            List<Func<Task>> answers = [];
            lock (daemon.gate)
            {
                if (--daemon.holds > 0)
                    return;
                answers.AddRange(daemon.heldAnswers);
                daemon.heldAnswers.Clear();
            }
            _ = SendAsync(answers);
        }

        private static async Task SendAsync(List<Func<Task>> answers)
        {
            foreach (var send in answers)
            {
                try
                {
                    await send();
                }
                catch (Exception e) when (e is IOException or ObjectDisposedException or System.Net.WebSockets.WebSocketException)
                {
                    return; // The driver has left meanwhile.
                }
            }
        }
    }
}
