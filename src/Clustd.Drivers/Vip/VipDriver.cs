using System.Runtime.CompilerServices;
using Clustd.Client;
using Clustd.Drivers.Processes;

namespace Clustd.Drivers.Vip;

/// <summary>
/// Has IP addresses on an interface while this machine is the master. A guard, a process of its own, holds them; this one starts it, passes the lease on, looks after it, and does its work when it is killed or frozen. When both are,
/// the kernel does (<see cref="AddressGate"/>).
/// </summary>
public sealed class VipDriver : StateDriver
{
    private readonly VipDriverOptions _options;
    private readonly DriverHost _host;
    private AddressGuard? _guard;
    private long _token;

    public VipDriver(VipDriverOptions options, DriverHost host, StateDriverTerms? terms = null)
        : base(options, host, terms)
    {
        if (options.Validate() is [var error, ..]) throw new ArgumentException(error, nameof(options));
        (_options, _host) = (options, host);
    }

    /// <summary>Of the process that holds the addresses, while there is one.</summary>
    public int? GuardPid => _guard?.Pid;

    protected override string What => $"{(_options.Addresses.Count == 1 ? "address" : "addresses")} {Addresses}";

    private string Addresses => string.Join(", ", _options.Addresses);

    protected override async Task MakeAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        // Held a moment ago, and by nobody since: it would be our own silence that is asked about.
        bool wasHeld = _guard is not null && _token == trigger.Token;
        if (_guard is { } guard && wasHeld && !guard.Gone.IsCompleted)
        {
            await guard.Again().WaitAsync(cancellationToken).ConfigureAwait(false);
            return;
        }
        await EndGuardAsync(DriverClock.NowUs + (long)trigger.Limit.TotalMicroseconds, "a newer grant takes them again", cancellationToken).ConfigureAwait(false);
        await TakeAsync(trigger, wasHeld, cancellationToken).ConfigureAwait(false);
    }

    protected override async Task UnmakeAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        await EndGuardAsync(DriverClock.NowUs + (long)trigger.Limit.TotalMicroseconds, trigger.Reason, cancellationToken).ConfigureAwait(false);
        if (AddressCleaning.Remove(_options.Addresses, _options.Interface, onlyOurs: true) is { } left)
            throw new DriverFailedException($"Cannot take away {left}: it is still on this machine. Remove it by hand (`ip address`).");
        // What is left now is somebody else's. This driver runs nothing here, so the stop has succeeded; but a start would fail, and people should know now.
        using var kernel = new InterfaceAddresses();
        if (kernel.Find(_options.Addresses).Any()) LookSoon();
    }

    protected override Task<string?> FindDriftAsync(Trigger made, CancellationToken cancellationToken)
    {
        using var kernel = new InterfaceAddresses();
        var there = kernel.Find(_options.Addresses);
        if (!made.IsMaster)
        {
            // Somebody else's cannot be made as it should be.
            if (there.FirstOrDefault(each => !each.IsOurs) is { } foreign) throw new DriverFailedException(AddressHolder.Foreign(kernel, foreign));
            return Task.FromResult(there is [var one, ..] ? $"{one.Address} is on {kernel.NameOf(one.Link)}, although this machine is not the master." : null);
        }
        if (_guard is null || _guard.Gone.IsCompleted) return Task.FromResult<string?>($"Nobody holds {Addresses}: {(_guard is null ? "there is no guard" : _guard.Gone.Result.Reason)}.");
        var link = AddressHolder.Link(kernel, _options.Interface);
        foreach (var address in _options.Addresses)
        {
            if (there.FirstOrDefault(each => each.Address == address && each.Link == link.Index) is not { } found) return Task.FromResult<string?>($"{address} is not on {link.Name}: somebody has removed it.");
            if (!found.IsOurs) return Task.FromResult<string?>($"{address} on {link.Name} has lost clustd's mark: somebody has put it there anew.");
            if (found.IsDuplicate) return Task.FromResult<string?>($"The kernel has found another machine that has {address}.");
        }
        return Task.FromResult<string?>(null);
    }

    protected override void LeaseChanged(LeaseEnd lease)
    {
        if (lease.EndsAtUs is { } end) _guard?.Renew(end);
    }

    public override async IAsyncEnumerable<DriverFinding> TestAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (var finding in VipTest.FindAsync(_options, cancellationToken).ConfigureAwait(false)) yield return finding;
    }

    private async Task TakeAsync(Trigger trigger, bool wasHeld, CancellationToken cancellationToken)
    {
        var lease = LeaseEnd;
        if (lease.EndsAtUs is not { } end || DriverClock.NowUs >= end)
            throw new DriverFailedException($"Cannot take {Addresses}: this machine's lease is over. It is tried again when the daemon has a quorum.");
        var guard = AddressGuard.Start(_host.Guard, Describe(trigger, lease.KillTimeoutUs, end, checkDuplicate: _options.CheckDuplicate && !wasHeld), text => Log(DriverLogLevel.Warning, $"{Name}: {text}"));
        (_guard, _token) = (guard, trigger.Token);
        if (LeaseEnd.EndsAtUs is { } newer && newer != end) guard.Renew(newer); // it changed before there was anybody to tell
        try
        {
            await guard.Held.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            // Whatever was taken is given up before anybody hears of the failure.
            await EndGuardAsync(DriverClock.NowUs + lease.KillTimeoutUs, "the start has failed", CancellationToken.None).ConfigureAwait(false);
            throw;
        }
        Log(DriverLogLevel.Info, $"{Name}: {Addresses} on {_options.Interface}, held by process {guard.Pid}");
        _ = guard.Gone.ContinueWith(_ => LookSoon(), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
    }

    private async Task EndGuardAsync(long limit, string reason, CancellationToken cancellationToken)
    {
        if (_guard is not { } guard) return;
        guard.Stop(limit, reason);
        var end = await guard.Gone.WaitAsync(cancellationToken).ConfigureAwait(false);
        // What could not be removed then may be removable now.
        if (!end.IsProven && AddressCleaning.Remove(_options.Addresses, _options.Interface, onlyOurs: false) is { } left)
            throw new DriverFailedException($"Cannot take away {left}: it is still on this machine. Remove it by hand (`ip address`).");
        _guard = null;
    }

    private AddressGuardSpec Describe(Trigger trigger, long killTimeoutUs, long leaseEnd, bool checkDuplicate) => new()
    {
        Addresses = [.. _options.Addresses.Select(each => each.ToString())],
        Interface = _options.Interface,
        AnnounceEveryMicros = (long)_options.AnnounceEvery.TotalMicroseconds,
        CheckDuplicate = checkDuplicate,
        UseGate = _options.UseGate,
        KillTimeoutMicros = killTimeoutUs,
        LeaseEnd = leaseEnd,
        Report = new GuardReport { Host = _host.Address, Secret = _host.Secret, Driver = Client.Name!, Instance = Instance, Service = trigger.Service, Token = trigger.Token },
    };
}
