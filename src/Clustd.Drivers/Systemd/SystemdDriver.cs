using System.Runtime.CompilerServices;
using Clustd.Client;
using Clustd.Drivers.Holding;

namespace Clustd.Drivers.Systemd;

/// <summary>Runs services of systemd while this machine is the master: starts them in their order, follows their state by signals, starts again what has ended, stops what must not run here.</summary>
public sealed class SystemdDriver : HeldDriver
{
    // As for an app of the shell driver: what ends within this time after its start has not started.
    private static readonly TimeSpan Settle = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan ActivatingLook = TimeSpan.FromMilliseconds(100);

    private readonly SystemdDriverOptions _options;
    private readonly HashSet<string> _told = new(StringComparer.Ordinal);
    private SystemdBus? _bus;

    public SystemdDriver(SystemdDriverOptions options, DriverHost host, StateDriverTerms? terms = null)
        : base(options, host, options.RestartsMax, terms)
    {
        if (options.Validate() is [var error, ..]) throw new ArgumentException(error, nameof(options));
        _options = options;
    }

    protected override string What => $"{(_options.Units.Count == 1 ? "unit" : "units")} {string.Join(", ", _options.Units)}";

    private protected override HoldSpec Holds => new() { What = What, Units = _options.Units, Bus = _options.Bus };

    private protected override bool HasGuard => _options.HasGuard;

    private protected override async Task StartAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        var bus = await BusAsync(cancellationToken).ConfigureAwait(false);
        foreach (string unit in _options.Units) Refuse(await bus.LookAsync(unit, cancellationToken).ConfigureAwait(false));
        bool isAny = false;
        foreach (string unit in _options.Units) isAny |= await StartAsync(bus, unit, cancellationToken).ConfigureAwait(false);
        if (!isAny) return;
        await Task.Delay(Settle, cancellationToken).ConfigureAwait(false);
        foreach (string unit in _options.Units)
        {
            var state = await bus.LookAsync(unit, cancellationToken).ConfigureAwait(false);
            if (!state.IsActive) throw Ended(state, "ended at once");
        }
    }

    private protected override async Task FindAsync(CancellationToken cancellationToken)
    {
        var bus = await BusAsync(cancellationToken).ConfigureAwait(false);
        foreach (string unit in _options.Units) Holding(await bus.LookAsync(unit, cancellationToken).ConfigureAwait(false));
    }

    private protected override async Task<string?> LookAsync(Trigger made, CancellationToken cancellationToken)
    {
        var bus = await BusAsync(cancellationToken).ConfigureAwait(false);
        foreach (string unit in _options.Units)
        {
            var state = await bus.LookAsync(unit, cancellationToken).ConfigureAwait(false);
            if (!made.IsMaster)
            {
                if (!state.IsStopped) return $"{unit} is {state.Words}, although this machine is not the master: somebody has started it.";
                Refuse(state); // nothing to be mended, but a start would fail
                continue;
            }
            while (!state.IsActive && !state.IsStopped)
            {
                // On its way, perhaps by a restart of systemd's own. That it takes too long, the look's limit says.
                await Task.Delay(ActivatingLook, cancellationToken).ConfigureAwait(false);
                state = await bus.LookAsync(unit, cancellationToken).ConfigureAwait(false);
            }
            Holding(state);
            if (!state.IsActive) return await EndedAsync(made, unit, state.Words, cancellationToken).ConfigureAwait(false);
        }
        return null;
    }

    public override async IAsyncEnumerable<DriverFinding> TestAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (var finding in SystemdTest.FindAsync(_options, cancellationToken).ConfigureAwait(false)) yield return finding;
    }

    public override async Task EndWatchAsync()
    {
        await base.EndWatchAsync().ConfigureAwait(false);
        _bus?.Dispose();
    }

    // True if it did not run yet.
    private async Task<bool> StartAsync(SystemdBus bus, string unit, CancellationToken cancellationToken)
    {
        var before = await bus.LookAsync(unit, cancellationToken).ConfigureAwait(false);
        string result = await bus.StartAsync(unit, cancellationToken).ConfigureAwait(false);
        var state = await bus.LookAsync(unit, cancellationToken).ConfigureAwait(false);
        Holding(state);
        if (result != "done" || !state.IsActive) throw Ended(state, $"did not start ({result})");
        if (!before.IsActive) Log(DriverLogLevel.Info, $"{Name}: {unit} runs");
        return !before.IsActive;
    }

    private static DriverFailedException Ended(UnitState state, string how) =>
        new($"{state.Name} {how}: it is {state.Words}. See `systemctl status {state.Name}` and `journalctl -u {state.Name}`.");

    private void Holding(UnitState state)
    {
        if (state.ControlGroup.Length > 0) RunsIn(Cgroup.Named(state.ControlGroup));
    }

    private void Refuse(UnitState state)
    {
        foreach (var finding in UnitRules.Of(state))
        {
            if (finding.Level == FindingLevel.Bad) throw new DriverFailedException(finding.Text);
            if (finding.Level == FindingLevel.Doubtful && _told.Add(finding.Text)) Log(DriverLogLevel.Warning, $"{Name}: {finding.Text}");
        }
    }

    private async Task<SystemdBus> BusAsync(CancellationToken cancellationToken)
    {
        if (_bus is not { IsClosed: false })
        {
            _bus?.Dispose();
            _bus = await SystemdBus.ConnectAsync(_options.Bus, cancellationToken).ConfigureAwait(false);
        }
        foreach (string unit in _options.Units) await _bus.WatchAsync(unit, LookSoon, cancellationToken).ConfigureAwait(false);
        return _bus;
    }
}
