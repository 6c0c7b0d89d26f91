using System.Runtime.CompilerServices;
using Clustd.Client;
using Clustd.Drivers.Holding;

namespace Clustd.Drivers.Docker;

/// <summary>Runs a container of Docker or Podman while this machine is the master: one that is there already, and has been made with all that it needs. Follows the engine's events, and the container's own health check.</summary>
public sealed class DockerDriver : HeldDriver
{
    // As for an app of the shell driver: what ends within this time after its start has not started.
    private static readonly TimeSpan Settle = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan WatchPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan RestartCourtesy = TimeSpan.FromSeconds(2); // for what says of itself that it is ill

    private readonly DockerDriverOptions _options;
    private readonly CancellationTokenSource _ended = new();
    private readonly Lock _gate = new();
    private Task? _watch;
    private Engine? _engine;

    public DockerDriver(DockerDriverOptions options, DriverHost host, StateDriverTerms? terms = null)
        : base(options, host, options.RestartsMax, terms)
    {
        if (options.Validate() is [var error, ..]) throw new ArgumentException(error, nameof(options));
        _options = options;
    }

    protected override string What => $"container {_options.Container}";

    private protected override HoldSpec Holds => new() { What = What, Container = _options.Container, Socket = _options.EffectiveSocket };

    private protected override bool HasGuard => _options.HasGuard;

    private string Container => _options.Container;

    private protected override async Task StartAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        var engine = Opened();
        var state = await AllowedAsync(engine, cancellationToken).ConfigureAwait(false);
        if (state.State.Paused) await engine.UnpauseAsync(Container, cancellationToken).ConfigureAwait(false);
        if (state.IsUnhealthy) await engine.StopAsync(Container, RestartCourtesy, cancellationToken).ConfigureAwait(false);
        await engine.StartAsync(Container, cancellationToken).ConfigureAwait(false);
        Holding(await AllowedAsync(engine, cancellationToken).ConfigureAwait(false));
        if (state.IsActive && !state.IsUnhealthy) return;
        await Task.Delay(Settle, cancellationToken).ConfigureAwait(false);
        state = await AllowedAsync(engine, cancellationToken).ConfigureAwait(false);
        if (!state.IsActive) throw new DriverFailedException($"{Container} ended at once: it is {state.Words}. See `docker logs {Container}`.");
        Log(DriverLogLevel.Info, $"{Name}: {Container} runs");
    }

    private protected override async Task FindAsync(CancellationToken cancellationToken)
    {
        if (await Opened().InspectAsync(Container, cancellationToken).ConfigureAwait(false) is { } state) Holding(state);
    }

    private protected override async Task<string?> LookAsync(Trigger made, CancellationToken cancellationToken)
    {
        var engine = Opened();
        if (!made.IsMaster)
        {
            var standby = await engine.InspectAsync(Container, cancellationToken).ConfigureAwait(false);
            if (standby is { IsStopped: false }) return $"{Container} is {standby.Words}, although this machine is not the master: somebody has started it.";
            Allow(standby); // nothing to be mended, but a start would fail
            return null;
        }
        var state = await AllowedAsync(engine, cancellationToken).ConfigureAwait(false);
        Holding(state);
        if (state.State.Paused) return $"{Container} is paused: somebody has stopped it in the middle of what it did.";
        return state.IsActive && !state.IsUnhealthy ? null : await EndedAsync(made, Container, state.Words, cancellationToken).ConfigureAwait(false);
    }

    public override async IAsyncEnumerable<DriverFinding> TestAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var engine = new Engine(_options.EffectiveSocket);
        var findings = new List<DriverFinding>();
        try
        {
            findings.Add(new(FindingLevel.Good, "engine", $"answers at {_options.EffectiveSocket}, API {await engine.VersionAsync(cancellationToken).ConfigureAwait(false)}"));
            var state = await engine.InspectAsync(Container, cancellationToken).ConfigureAwait(false);
            findings.AddRange(ContainerRules.Of(Container, state));
            if (state is { State.Running: true } && _options.HasGuard) findings.Add(Kill(state));
        }
        catch (DriverFailedException e)
        {
            findings.Add(new(FindingLevel.Bad, "engine", e.Message));
        }
        if (!_options.HasGuard) findings.Add(new(FindingLevel.Doubtful, "guard", "`guard: false`: if the driver process is killed or frozen, the container runs on, perhaps beside that of the next master. Remove that key."));
        foreach (var finding in findings) yield return finding;
    }

    public override async Task EndWatchAsync()
    {
        await _ended.CancelAsync().ConfigureAwait(false);
        await base.EndWatchAsync().ConfigureAwait(false);
        if (_watch is not null) await _watch.ConfigureAwait(false);
        _engine?.Dispose();
    }

    // The cgroup that is the container's alone has its id in its name; what has not, may hold others, too.
    private static Cgroup? CgroupOf(ContainerState state) =>
        state.State.Pid > 0 && Cgroup.Of(state.State.Pid) is { } cgroup && cgroup.Directory.Contains(state.Id, StringComparison.Ordinal) ? cgroup : null;

    private static DriverFinding Kill(ContainerState state) => CgroupOf(state) switch
    {
        null => new(FindingLevel.Doubtful, "guard", $"{NoCgroup(state)} Let the engine make a cgroup for it (no --cgroups=disabled, an engine on this machine itself)."),
        { } cgroup when cgroup.WhyNotKillable() is { } why => new(FindingLevel.Bad, "guard", $"The container could not be killed at the end of a lease: {Environment.UserName} may not ({why}). Run `clustd drivers` as root, or write `guard: false`."),
        _ => new(FindingLevel.Good, "guard", "can kill the container without the engine"),
    };

    private static string NoCgroup(ContainerState state) => $"The container's process {state.State.Pid} has no cgroup of its own on this machine: it can be killed by the engine only, and not if that hangs.";

    private void Holding(ContainerState state)
    {
        if (CgroupOf(state) is { } cgroup) RunsIn(cgroup);
        else if (HasGuard && state.State.Pid > 0) WarnOnce(NoCgroup(state));
    }

    private bool _warned;

    private void WarnOnce(string text)
    {
        if (!_warned) Log(DriverLogLevel.Warning, $"{Name}: {text}");
        _warned = true;
    }

    private async Task<ContainerState> AllowedAsync(Engine engine, CancellationToken cancellationToken)
    {
        var state = await engine.InspectAsync(Container, cancellationToken).ConfigureAwait(false);
        Allow(state);
        return state!;
    }

    private void Allow(ContainerState? state)
    {
        if (ContainerRules.Of(Container, state).FirstOrDefault(each => each.Level == FindingLevel.Bad) is { } bad) throw new DriverFailedException(bad.Text);
    }

    private Engine Opened()
    {
        lock (_gate)
        {
            _watch ??= Task.Run(WatchAsync, CancellationToken.None);
            return _engine ??= new Engine(_options.EffectiveSocket);
        }
    }

    private async Task WatchAsync()
    {
        while (!_ended.IsCancellationRequested)
        {
            try
            {
                using var engine = new Engine(_options.EffectiveSocket);
                await engine.WatchAsync(Container, LookSoon, _ended.Token).ConfigureAwait(false);
            }
            catch (Exception e) when (e is DriverFailedException or OperationCanceledException or IOException or HttpRequestException)
            {
                // The looks say what is wrong; this only makes them sooner.
            }
            await Task.Delay(WatchPause, _ended.Token).ContinueWith(_ => { }, TaskScheduler.Default).ConfigureAwait(false);
        }
    }
}
