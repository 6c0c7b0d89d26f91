using System.Security.Cryptography;
using Clustd.Config;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Http;
using Clustd.Hub;
using Clustd.Peers;
using Clustd.Store;
using Clustd.Watchdogs;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Clustd;

/// <summary>
/// One machine's daemon: the composition root. Reads as its boot and shutdown script. All decisions are <see cref="MachineCore"/>'s; all that
/// happens here is carrying inputs to it and outputs away from it.
/// </summary>
public sealed class Daemon : IAsyncDisposable
{
    private readonly TaskCompletionSource<int> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _ending = new();
    private readonly RecentWallClock _wallClock = new();
    private readonly DaemonOptions _options;
    private readonly StoreWriter _writer;
    private readonly PeerNetwork _network;
    private readonly DriverHub _hub;
    private readonly MachineCore _core;
    private readonly MachineLoop _loop;
    private readonly WebApplication _app;
    private readonly Api _api;
    private readonly ClusterIdentity _identity;
    private readonly Throttle _complaints = new(TimeProvider.System);
    private readonly WatchdogConfig? _watchdogConfig;
    private Task _waiting = Task.CompletedTask;
    private MachineWatchdog? _watchdog;
    private int _exitCode;
    private bool _isOrderly;

    private Daemon(ClustdConfig config, DaemonOptions options, SqliteStore store, ClusterIdentity identity)
    {
        _options = options;
        _identity = identity;
        _watchdogConfig = config.Watchdog;
        var incarnation = RandomUInt64();
        var settings = config.ToMachineSettings(incarnation, RandomUInt64(), DateTimeOffset.UtcNow.ToUnixTimeSeconds()) with { FeatureLevel = BinaryLevel.Value };

        // Empty: an appsettings.json where somebody happened to start us is not our configuration, and is not watched for changes.
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
        builder.Services.AddRoutingCore();
        builder.Logging.AddProvider(new SaidLog(options.Say));
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(1));
        OnePort = new OnePortOptions
        {
            BindAddress = config.Server.BindAddress,
            Port = config.Server.BindPort,
            Identity = Task.FromResult(identity),
            OnWrongSecret = (remote, theirs) => _network!.ReportWrongSecret(remote, theirs),
        };
        builder.WebHost.UseKestrelCore();
        // A message goes from the socket to the loop's inbox on one thread instead of three. Nothing that serves a connection here blocks.
        builder.WebHost.UseSockets(sockets =>
        {
            sockets.UnsafePreferInlineScheduling = true;
            sockets.WaitForDataBeforeAllocatingBuffer = false; // One system call for a message instead of two; it costs 4 kB for each connection.
        });
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.ListenOnOnePort(OnePort));
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>(); // Signals are the command's business.
        _app = builder.Build();
        var loggers = _app.Services.GetRequiredService<ILoggerFactory>();

        _writer = new StoreWriter(store, new StoreWriterEvents { Persisted = OnPersisted, DiskFull = OnDiskFull, Failed = OnStoreFailed }, TimeProvider.System);
        _network = new PeerNetwork(
            new PeerNetworkOptions
            {
                Self = config.Cluster.Id,
                SelfAddress = config.Server.RemoteAddress.ToString(),
                Addresses = [.. config.Cluster.Machines.Select(machine => machine.ToString())],
                Identity = identity,
                Incarnation = incarnation,
            },
            OnPeerEvent,
            () => _loop!.TurnHere(),
            loggers.CreateLogger<PeerNetwork>(),
            TimeProvider.System);
        _hub = new DriverHub(
            new DriverHubOptions { Self = settings.Self, Version = options.Version, Secret = config.Cluster.Secret, OldSecret = config.Cluster.OldSecret, LegacyDrivers = config.Server.LegacyDrivers },
            input => _loop!.Post(input),
            OnNoted,
            loggers.CreateLogger<DriverHub>());
        _core = new MachineCore(settings, store.Stored, MachineClock.Now);
        _loop = new MachineLoop(_core, new MachineLoopSurroundings
        {
            Clock = () => MachineClock.Now,
            Perform = Router().Perform,
            Crash = OnBrokenInvariant,
            TurnCompleted = OnTurnCompleted,
            TurnEvery = TurnEvery(config.Watchdog, options.TurnEvery),
        });
        _api = new Api(
            new ApiServices
            {
                TakeSnapshot = () => _loop.InspectAsync((machine, now) => new MachineSnapshot(machine.View(now), now)),
                Now = () => MachineClock.Now,
                Post = input => _loop.Post(input),
                Secret = config.Cluster.Secret,
                OldSecret = config.Cluster.OldSecret,
                HostNames = [config.Cluster.Id, config.Server.RemoteAddress.Host],
                Version = options.Version,
                Process = OwnProcess,
                WallClockOf = _wallClock.Of,
                Warnings = Warnings,
                Watchdogs = Watchdogs,
            },
            loggers.CreateLogger<Api>());
        Map();
        WaitingReport = new WaitingReport(_network, _loop, settings.Addresses.Length, options.Say);
    }

    /// <summary>The exit code, once the daemon has left or failed.</summary>
    public Task<int> Completion => _completion.Task;

    /// <summary>Once <see cref="Completion"/> is there: it ended in order to be started again, so its drivers are to go on.</summary>
    public bool IsRestarting { get; private set; }

    private OnePortOptions OnePort { get; }

    private WaitingReport WaitingReport { get; }

    /// <summary>Boots one machine. The certificate work, the slowest part of a start, runs beside opening the store.</summary>
    /// <exception cref="StoreException">The data directory is in use, corrupt, or cannot be written; three parts.</exception>
    /// <exception cref="PortUnavailableException">The port is taken or forbidden; three parts.</exception>
    /// <exception cref="WatchdogUnavailableException">The machine's watchdog cannot be had as asked; three parts.</exception>
    public static async Task<Daemon> StartAsync(ClustdConfig config, DaemonOptions options, CancellationToken cancellationToken)
    {
        var certificates = ClusterIdentity.CreateAsync(config.Cluster.Id, config.Cluster.Secret, config.Cluster.OldSecret);
        var store = SqliteStore.Open(config.Server.DataDirectory, $"clustd daemon '{config.Cluster.Id}'");
        var identity = await certificates;
        if (FeatureLevels.WhyNotStart(new MachineId(config.Cluster.Id), store.Stored, BinaryLevel.Value) is { } refusal)
        {
            var path = store.DatabasePath;
            store.Dispose();
            identity.Dispose();
            throw new StoreTooNewException(path, refusal);
        }

        var daemon = new Daemon(config, options, store, identity);
        try
        {
            // Listen first: whoever is told that we are here must be able to reach us.
            await daemon._app.StartOnOnePortAsync(daemon.OnePort, cancellationToken);
            MachineLoop.WarmUp();
            daemon.ArmWatchdog(); // Last: what cannot start must not have the machine reset.
            daemon._loop.Start();
            daemon._network.Start();
            daemon._waiting = daemon.WaitingReport.RunAsync(daemon._ending.Token);
            return daemon;
        }
        catch
        {
            await daemon.DisposeAsync();
            throw;
        }
    }

    /// <summary>Stops everything here in good order, hands over, leaves; <see cref="Completion"/> tells when.</summary>
    public void RequestGoodbye(string reason) => _loop.Post(new Input.GoodbyeRequested(reason));

    /// <summary>Sockets first (a host waits long for an open WebSocket), then the loop, then the store, so that the last decisions are written.</summary>
    public async ValueTask DisposeAsync()
    {
        await _ending.CancelAsync();
        await _waiting;
        await _network.DisposeAsync();
        await _hub.DisposeAsync();
        await _app.DisposeAsync();
        await _loop.DisposeAsync();
        // Nobody is in a turn any more. As late as can be: until here the loop has fed it.
        _watchdog?.End(_core.RunningHere, _isOrderly, IsRestarting);
        _watchdog?.Dispose();
        await _writer.DisposeAsync();
        _identity.Dispose();
        _ending.Dispose();
        _completion.TrySetResult(_exitCode);
    }

    private void Map()
    {
        _app.UseWebSockets();
        _app.Map(PeerNetwork.Path, _network.HandleAsync);
        _app.Map(Client.Protocol.DriverProtocol.Path, _hub.HandleAsync);
        _app.Use(next => context => context.Request.Path == "/" && context.WebSockets.IsWebSocketRequest ? _hub.HandleAsync(context) : next(context));
        _api.Map(_app);
    }

    private OutputRouter Router() => new()
    {
        Send = send => _network.Send(send.To.Value, PeerMail.WriteInPassing(send.Message)),
        Disconnect = disconnect => _network.Close(disconnect.Machine.Value, disconnect.Reason),
        Persist = _writer.Persist,
        DriverAccepted = _hub.Perform,
        DriverRefused = _hub.Perform,
        Trigger = _hub.Perform,
        CancelTrigger = _hub.Perform,
        DriverLease = _hub.Perform,
        RequestAnswered = answered => _api.Perform(answered),
        BarrierAnswered = answered => _api.Perform(answered),
        Noted = OnNoted,
        Departed = _ => OnDeparted(),
        ReadyToRestart = OnReadyToRestart,
        StoreRefused = refused => OnStoreRefused(refused.Reason),
    };

    private void ArmWatchdog()
    {
        if (_watchdogConfig is { } config) _watchdog = MachineWatchdog.Open(config, _options.OpenWatchdog, _options.WatchdogFacts, _options.Say, () => MachineClock.Now);
    }

    // Whoever is to be fed is fed by turns, so there must be one whenever it is hungry.
    private static TimeSpan TurnEvery(WatchdogConfig? machine, TimeSpan? manager)
    {
        var every = MachineLoopSurroundings.TurnEveryDefault;
        if (manager < every) every = manager.Value;
        return machine is not null && new WatchdogTiming(machine.Timeout).FeedEvery is var feed && feed < every ? feed : every;
    }

    private void OnDeparted()
    {
        _isOrderly = true;
        _completion.TrySetResult(_exitCode);
    }

    private void OnReadyToRestart(Output.ReadyToRestart ready)
    {
        _isOrderly = true;
        IsRestarting = true;
        _completion.TrySetResult(_exitCode);
    }

    private void OnTurnCompleted()
    {
        _options.TurnCompleted();
        if (_watchdog is { IsHungry: true } watchdog) watchdog.Feed(_core.RunningHere);
        _network.Beat();
    }

    private void OnPersisted(long sequence) => _loop.Post(new Input.Persisted(sequence));

    private void OnDiskFull(StoreUnwritableException full)
    {
        _options.Say(Severity.Error, full.Message);
        _exitCode = 1;
        RequestGoodbye("its disk is full");
    }

    private void OnStoreFailed(Exception failure)
    {
        // Nothing can be promised any more. What runs here can still be stopped in good order: that needs other machines' disks only.
        _options.Say(Severity.Error, failure.Message);
        _exitCode = 1;
        RequestGoodbye("its store cannot be written");
    }

    private void OnStoreRefused(string reason)
    {
        // No goodbye: nobody hears this machine any more. What runs here stops at the end of its lease, as on a machine that was lost.
        _options.Say(Severity.Error, reason);
        _exitCode = 1;
        _completion.TrySetResult(_exitCode);
    }

    private void OnBrokenInvariant(Exception broken)
    {
        // A restart is safe, a second master is not.
        Environment.FailFast($"clustd: a broken invariant, the process ends: {broken.Message} Please report it with the log. Drivers stop at the end of their lease; start clustd again.", broken);
    }

    private void OnPeerEvent(PeerEvent raised)
    {
        switch (raised)
        {
            case PeerEvent.PeerConnected connected:
                OnNoted(new Output.Noted(Severity.Information, "peer-connected", $"{connected.MachineId} is connected ({connected.Address})."));
                _loop.Post(new Input.PeerConnected(new MachineId(connected.MachineId)));
                break;
            case PeerEvent.PeerLost lost:
                _loop.Post(new Input.PeerLost(new MachineId(lost.MachineId)));
                OnNoted(new Output.Noted(Severity.Warning, "peer-lost", $"The connection to {lost.MachineId} is lost: {lost.Reason}"));
                break;
            case PeerEvent.PeerMessageReceived received:
                if (PeerMail.TryRead(received.Message.Span, out var message, out var problem))
                {
                    _loop.PostQuietly(new Input.PeerSpoke(new MachineId(received.MachineId), message)); // A turn follows when all that came with it is posted.
                }
                else if (_complaints.MaySpeak(received.MachineId))
                {
                    OnNoted(new Output.Noted(
                        Severity.Error, "peer-garbled", $"{received.MachineId} sent something that is no message of this version: {problem} Run the same version of clustd on all machines."));
                }

                break;
            case PeerEvent.PeerUnreachable unreachable:
                OnNoted(new Output.Noted(Severity.Debug, "peer-unreachable", $"{unreachable.Address} {unreachable.Reason}; {unreachable.Advice}"));
                break;
            case PeerEvent.PeerRefused refused:
                OnNoted(new Output.Noted(Severity.Error, "peer-refused", $"{refused.Subject}: {refused.Reason}"));
                break;
        }
    }

    private void OnNoted(Output.Noted noted)
    {
        if (noted.Index is { } index)
        {
            _wallClock.Remember(index, DateTimeOffset.UtcNow);
        }

        _writer.Note(noted);
        if (noted.Severity > Severity.Debug)
        {
            _options.Say(noted.Severity, noted.Sentence);
        }
    }

    private ProcessStatus OwnProcess()
    {
        var punctuality = _loop.Punctuality;
        var commits = _writer.Commits;
        return new ProcessStatus(
            punctuality.Lateness.Maximum.TotalMilliseconds,
            punctuality.Lateness.Percentile99.TotalMilliseconds,
            punctuality.Priority.ToString(),
            punctuality.PeerMessagesDropped,
            GC.GetTotalPauseDuration().TotalMilliseconds,
            GC.GetTotalAllocatedBytes(),
            commits.Median.TotalMilliseconds,
            commits.Percentile99.TotalMilliseconds,
            commits.Maximum.TotalMilliseconds);
    }

    /// <summary>What the core cannot see; the status warns of two machines and of best-effort drivers by itself.</summary>
    private IReadOnlyList<StatusWarning> Warnings() =>
        [.. _watchdog?.Warnings ?? [], .. _network.Peers.Where(peer => peer.State == PeerState.Refused).Select(peer => new StatusWarning("peer-refused", peer.LastError ?? peer.Address))];

    private IReadOnlyList<WatchdogStatus> Watchdogs() => [.. ((WatchdogStatus?[])[_watchdog?.Status, _options.ManagerWatchdog()]).OfType<WatchdogStatus>()];

    private static ulong RandomUInt64() => BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(sizeof(ulong)));

    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
