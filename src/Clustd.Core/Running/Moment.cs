using System.Collections.Immutable;
using Clustd.Core.Cluster;

namespace Clustd.Core.Running;

/// <summary>One reconciliation: what is known now, and what is to be done about it.</summary>
internal sealed class Moment(
    MachineSettings settings,
    ListedDrivers listed,
    ClusterState state,
    SessionHold hold,
    Instant now,
    IReadOnlyList<DriverInstance> instances,
    IReadOnlyDictionary<DriverName, DriverInstance> active,
    Func<long> nextSequence,
    Action<DriverInstance, bool> leaseExtended,
    List<Output> outputs)
{
    public MachineSettings Settings => settings;

    public ClusterState State => state;

    public SessionHold Hold => hold;

    public Instant Now => now;

    public IReadOnlyList<DriverInstance> Instances => instances;

    /// <summary>The deadlines met, of whatever is looked at just now.</summary>
    public required Deadlines Deadlines { get; set; }

    public List<Command> Wanted { get; } = [];

    /// <summary>Why the machine is leaving; null while it stays.</summary>
    public string? LeavingReason { get; init; }

    /// <summary>The daemon ends in order to be started again: what runs goes on, and nothing is begun.</summary>
    public bool IsRestarting { get; init; }

    /// <summary>See <see cref="CannotTell"/>.</summary>
    public required Instant CannotTellUntil { get; init; }

    /// <summary>
    /// This daemon has held no session since its start, and one of a former incarnation may not be over: it cannot tell whether what runs here is to run.
    /// It grants nothing and takes nothing away; what was granted before ends by itself.
    /// </summary>
    public bool CannotTell => !IsOver(CannotTellUntil);

    public bool IsActive(DriverInstance instance) => active.TryGetValue(instance.Name, out var first) && ReferenceEquals(first, instance);

    /// <summary>True when `deadline` is over; else makes sure that somebody looks again then.</summary>
    public bool IsOver(Instant deadline)
    {
        if (now >= deadline)
        {
            return true;
        }

        Deadlines.Meet(deadline);
        return false;
    }

    public ServiceDefinition DefinitionOf(ServiceName service) =>
        state.Services.TryGetValue(service, out var known) ? known.Definition : new ServiceDefinition { Name = service };

    /// <summary>Required: those in this machine's file, or named by the service. An experiment that is plugged in is neither.</summary>
    public SortedSet<DriverName> RequiredFor(ServiceName service)
    {
        var names = new SortedSet<DriverName>(DefinitionOf(service).Drivers);
        names.UnionWith(listed.Of(service));
        return names;
    }

    /// <summary>What a former daemon may have granted and this one has not applied yet; zero: nothing.</summary>
    public required Func<ServiceName, TimeSpan> KillTimeoutBefore { get; init; }

    /// <summary>kill_timeout for what is known only from a driver's own word: the longest of what was agreed, what is defined, and what this store still tells of.</summary>
    public TimeSpan KillTimeoutOf(ServiceName service)
    {
        var longest = DefinitionOf(service).KillTimeout;
        var granted = state.Services.TryGetValue(service, out var known) ? known.Assignment?.KillTimeout ?? known.Vacated?.KillTimeout : null;
        longest = granted > longest ? granted.Value : longest;
        var before = KillTimeoutBefore(service);
        return before > longest ? before : longest;
    }

    /// <summary>Machines that must be fenced before anything of this service starts here. This machine itself is none: what ran here is stopped first.</summary>
    public ImmutableSortedSet<MachineId> UnfencedOf(ServiceName service) =>
        state.Services.TryGetValue(service, out var known) && known.Unfenced is { } unfenced && !settings.PlantedBug.Is(PlantedBug.FencingSkipped) ? unfenced.Remove(settings.Self) : [];

    public TimeSpan Guard => LeaseTiming.GuardOf(settings.Lease);

    /// <summary>What this instance started for the service may still be there.</summary>
    public bool MayRun(DriverInstance instance, ServiceName service) =>
        instance.Calls.TryGetValue(service, out var calls) && calls.Owes && !IsGone(instance, calls, service);

    public bool MayRunAnything(DriverInstance instance)
    {
        if (instance.Owing == 0)
        {
            return false;
        }

        foreach (var (service, calls) in instance.Calls)
        {
            if (calls.Owes && !IsGone(instance, calls, service))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>One active instance of a driver's name: whoever may still run anything keeps the others out.</summary>
    public bool KeepsOthersOut(DriverInstance instance) => MayRunAnything(instance) && !settings.PlantedBug.Is(PlantedBug.SecondInstanceLetIn);

    /// <summary>It holds this lease from now on.</summary>
    public void ExtendLease(DriverInstance instance, Instant until)
    {
        var before = instance.LeaseUntil;
        instance.Gave(until);
        if (instance.LeaseUntil > before)
        {
            leaseExtended(instance, now >= before);
        }
    }

    public void Start(DriverInstance instance, ServiceName service, LocalRun run, string reason)
    {
        // Whoever is told to start is assumed to hold the lease that we hold, even if it has not asked for it yet (rule 15).
        ExtendLease(instance, hold.Until);
        Tell(instance, service, isMaster: true, run.Token, reason, DefinitionOf(service).StartTimeout, kill: false, run.Number, run.KillTimeout, [.. UnfencedOf(service)]);
    }

    public void Stop(DriverInstance instance, ServiceName service, Token token, string reason, TimeSpan limit, bool kill) =>
        Tell(instance, service, isMaster: false, token, reason, limit, kill, 0, TimeSpan.Zero, []);

    /// <summary>
    /// Tells a connected driver `false` unless it has acknowledged that, or a call is under way (a start under way is cancelled), or this very call has
    /// failed on this connection.
    /// </summary>
    public void DemandStop(DriverInstance instance, ServiceName service, Token token, string reason, TimeSpan limit, bool kill)
    {
        var calls = instance.CallsOf(service);
        if (!instance.Answerable || (calls.Acknowledged == false && !calls.Owes))
        {
            return;
        }

        calls.KillDueAt = kill ? calls.KillDueAt ?? now + LeaseTiming.Stretch(limit) : calls.KillDueAt;
        if (calls.UnderWay is { } call && !(settings.PlantedBug.Is(PlantedBug.StartAfterItsStop) && calls.Answered(call.Sequence, "not waited for") is not null))
        {
            if (call.IsMaster && calls.Cancel())
            {
                outputs.Add(new Output.CancelTrigger(instance.Connection!.Value, service, call.Sequence));
            }

            return;
        }

        if (!calls.HasFailed(isMaster: false, token, kill))
        {
            Stop(instance, service, token, reason, limit, kill);
        }
    }

    public void Note(Severity severity, string kind, string sentence, ServiceName? service = null) =>
        outputs.Add(new Output.Noted(severity, kind, sentence, service));

    private bool IsGone(DriverInstance instance, DriverCalls calls, ServiceName service)
    {
        if (settings.PlantedBug.Is(PlantedBug.LostConnectionIsStop) && !instance.IsConnected)
        {
            return true;
        }

        if (instance.GraceAfterLease(calls, KillTimeoutOf(service), Guard) is not { } grace)
        {
            return false;
        }

        if (now >= instance.LeaseUntil + grace)
        {
            return true;
        }

        Deadlines.MeetAfterLease(instance, grace);
        return false;
    }

    private void Tell(
        DriverInstance instance, ServiceName service, bool isMaster, Token token, string reason, TimeSpan limit, bool kill, long runNumber, TimeSpan killTimeout, ImmutableArray<MachineId> takesOverFrom)
    {
        var call = new CallUnderWay(nextSequence(), isMaster, token, now, limit, kill);
        instance.CallsOf(service).Told(call, runNumber, killTimeout);
        outputs.Add(new Output.Trigger(instance.Connection!.Value, new TriggerCall(service, isMaster, token, reason, call.Sequence, limit, kill) { TakesOverFrom = takesOverFrom }));
    }
}
