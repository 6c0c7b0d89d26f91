using System.Globalization;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Running;

namespace Clustd.Http;

/// <summary>Makes a <see cref="StatusView"/>: what is younger than the lease is said, what is older is last known, what is one's own is always known.</summary>
internal sealed class StatusMaker(MachineView view, StatusContext context)
{
    // The clock was read after the view was taken; a negative age would make knowledge younger than it is.
    private readonly TimeSpan _viewAge = context.ViewAge > TimeSpan.Zero ? context.ViewAge : TimeSpan.Zero;

    /// <summary>Age of what this machine knows of the others; null: it never heard a leader.</summary>
    public TimeSpan? KnownFor => view.KnownFor is { } known ? known + _viewAge : null;

    /// <summary>Younger than the lease. Older knowledge may be of a time when another machine was master, and whoever acts on it may act wrongly.</summary>
    public bool IsKnown => KnownFor is { } known && known <= view.State.Lease;

    public TimeSpan SessionLeft => view.HoldLeft > _viewAge ? view.HoldLeft - _viewAge : TimeSpan.Zero;

    public StatusView Make() => new()
    {
        Cluster = IsFormed ? view.Cluster.Value : null,
        Self = view.Self.Value,
        Version = context.Version,
        WaitsFor = view.WaitsFor,
        Role = Word(view.Role.ToString()),
        Leader = IsKnown ? view.Leader?.Value : IsFormed ? StatusView.Unknown : null,
        Term = view.Term.Value,
        Quorum = Quorum(),
        Consistency = StatusView.ConsistencyOf(context.IsConfirmed),
        KnownAgoMs = Milliseconds(KnownFor),
        IsKnown = IsKnown,
        LeaseMs = (long)view.State.Lease.TotalMilliseconds,
        SessionLeftMs = (long)SessionLeft.TotalMilliseconds,
        IsLeaving = view.IsLeaving,
        Paused = IsKnown ? view.State.Paused : null,
        Machines = [.. view.State.Members.Values.Select(MachineOf)],
        Services = [.. view.State.Services.Keys.Union(view.LocalServices.Select(local => local.Service)).Order().Select(ServiceOf)],
        Drivers = [.. view.Drivers.Select(DriverOf)],
        LoopLatenessMs = context.Process?.LoopLatenessMs,
        Process = context.Process,
        Watchdogs = context.Watchdogs,
        Warnings = [.. Warnings(), .. context.Warnings],
    };

    /// <summary>Why nothing can be said of others, as the first words of a sentence.</summary>
    public string WhyUnknown() => !IsFormed
        ? $"The cluster has not formed yet{(view.WaitsFor is { } waits ? $": {waits}" : ".")}"
        : KnownFor is not { } known ? $"{view.Self} has heard no leader since it started."
        : !IsKnown ? $"{view.Self} has heard no leader for {Seconds(known)}, longer than the lease of {Seconds(view.State.Lease)}: others may have decided anything meanwhile."
        : $"{view.Self} does not hold its session any more: another machine may take over.";

    public LocalServiceView? LocalOf(ServiceName service) => view.LocalServices.FirstOrDefault(local => local.Service == service);

    /// <summary>Running here under a held lease: certain without asking anybody, since nobody else may act before that lease is over.</summary>
    public bool RunsHere(ServiceName service) => SessionLeft > TimeSpan.Zero && LocalOf(service) is { Phase: LocalPhase.Running };

    private bool IsFormed => view.Cluster != ClusterId.None;

    private QuorumStatus Quorum()
    {
        var voters = view.Voters.Count();
        var need = voters == 0 ? 0 : (voters / 2) + 1;
        return view.VotersHeard is { } heard && _viewAge <= view.State.Lease ? new QuorumStatus(heard, need, voters, "leader")
            : IsKnown ? new QuorumStatus(view.Voters.Count(voter => voter.Machine == view.Self || view.Connected.Contains(voter.Machine)), need, voters, "connections")
            : new QuorumStatus(null, need, voters, null); // A connection may long be dead and not know it.
    }

    private MachineStatus MachineOf(Member member)
    {
        var id = member.Machine;
        var isSelf = id == view.Self;
        var isConnected = view.Connected.Contains(id);
        var session = view.State.SessionOf(id);
        var isDrained = view.State.Drained.Contains(id);
        var agreed = session is not null ? "alive" : isSelf || isConnected ? "connected" : "away";
        var state = isSelf && !IsKnown ? (SessionLeft > TimeSpan.Zero ? "alive" : "cut-off") : IsKnown ? agreed : StatusView.Unknown;
        return new MachineStatus(
            id.Value,
            member.Address,
            state,
            IsKnown ? session?.Id.Value : null,
            member.Witness,
            IsKnown ? isDrained : null,
            isSelf,
            IsKnown ? view.Leader == id : null,
            isSelf || isConnected,
            IsKnown ? null : new MachineLastKnown(Milliseconds(KnownFor), session is not null ? "alive" : "away", session?.Id.Value, isDrained));
    }

    private ServiceStatus ServiceOf(ServiceName name)
    {
        var service = view.State.Services.GetValueOrDefault(name);
        var held = service?.Assignment;
        var state = held is not null ? Word(held.State.ToString()) : service?.Vacated is not null ? "vacated" : "unassigned";
        var here = LocalOf(name);
        var local = HereOf(name, here);
        if (RunsHere(name))
        {
            var isAgreed = held?.Machine == view.Self && held.Token == here!.Token;
            return new ServiceStatus(
                name.Value, view.Self.Value, here!.Token.Value, isAgreed ? state : "running", isAgreed ? context.WallClockOf(held!.SinceIndex) : null,
                isAgreed ? service!.Reason : here.Reason, TakeoverOf(name, service), PlacementOf(name), local, null);
        }

        // Assigned to us, and our session is not held: it has stopped here, or is being stopped, whatever the log says.
        var isOursNoMore = held?.Machine == view.Self && SessionLeft == TimeSpan.Zero;
        if (!IsKnown || isOursNoMore)
        {
            var lastKnown = service is null ? null : new ServiceLastKnown(Milliseconds(KnownFor), held?.Machine.Value, held?.Token.Value, state, service.Reason);
            return new ServiceStatus(name.Value, StatusView.Unknown, null, StatusView.Unknown, null, WhyUnknown(), StatusView.Unknown, null, local, lastKnown);
        }

        return new ServiceStatus(
            name.Value,
            held?.Machine.Value,
            held?.Token.Value,
            state,
            (held?.SinceIndex ?? service?.Vacated?.Index) is { } since ? context.WallClockOf(since) : null,
            service?.Reason ?? here?.Reason ?? "",
            held?.Machine == view.Self ? TakeoverOf(name, service) : Promised(service),
            PlacementOf(name),
            local,
            null);
    }

    private LocalStatus HereOf(ServiceName name, LocalServiceView? here) => here switch
    {
        null => new LocalStatus("standby", null, ""),
        // The view is of a time when the session was held; the loop has not looked since.
        { Phase: LocalPhase.Running } when !RunsHere(name) => new LocalStatus(StatusView.Unknown, TokenOf(here), "The decision loop is late: it has not acted on the end of the session yet."),
        _ => new LocalStatus(Word(here.Phase.ToString()), TokenOf(here), here.Reason),
    };

    private string TakeoverOf(ServiceName name, ServiceState? service) =>
        service?.Definition.OnStopFailure == OnStopFailure.Takeover || BestEffortDrivers(name).Any() ? "best-effort" : "certain";

    private static string Promised(ServiceState? service) => service?.Definition.OnStopFailure == OnStopFailure.Takeover ? "best-effort" : StatusView.Unknown;

    private IEnumerable<DriverView> BestEffortDrivers(ServiceName name) => view.Drivers.Where(driver => !driver.StopsForCertain && driver.Services.Contains(name));

    private string? PlacementOf(ServiceName name)
    {
        foreach (var (service, sentence) in view.Reasons)
        {
            if (service == name && IsKnown)
            {
                return sentence;
            }
        }

        return null;
    }

    private static DriverStatus DriverOf(DriverView driver) => new(
        driver.Name.Value,
        driver.Instance,
        [.. driver.Services.Select(service => service.Value)],
        driver.IsConnected,
        driver.IsActive,
        driver.IsRequired,
        driver.StopsForCertain ? "certain" : "best-effort",
        driver.LastError);

    private IEnumerable<StatusWarning> Warnings()
    {
        if (!IsFormed || !IsKnown)
        {
            yield return new StatusWarning(IsFormed ? "not-known" : "not-formed", $"{WhyUnknown()} {(IsFormed ? "Look at the other machines, and at the network between them." : "Start clustd on all machines of the list.")}");
        }
        else if (SessionLeft == TimeSpan.Zero)
        {
            yield return new StatusWarning("no-session", $"{view.Self} holds no session and runs nothing: no majority confirms it. See whether the other machines reach it.");
        }

        if (view.Voters.Count() == 2)
        {
            yield return new StatusWarning("two-machines", "2 machines tolerate 0 failures. Add a witness: a third machine with `cluster.witness: true`.");
        }

        if (IsKnown && view.State.Paused)
        {
            yield return new StatusWarning("paused", "Paused: nothing moves by itself, not even after a failure. `clustd unpause` ends it.");
        }

        foreach (var (machine, sentence) in view.Stalls)
        {
            yield return new StatusWarning("stalled", $"{machine} {sentence}: it leads nothing and gets nothing new to run. What runs there goes on. See what keeps its disk or its processors busy.");
        }

        foreach (var (machine, left) in view.Graces)
        {
            // One that is over by this clock and not ended yet keeps nobody from anything.
            if (IsKnown && left > _viewAge)
            {
                yield return new StatusWarning("restarting", $"{machine} restarts, or has just done so: for up to {Seconds(left - _viewAge)} nobody takes over from it, should it be lost. Then kill_timeout comes on top.");
            }
        }

        foreach (var (name, service) in view.State.Services)
        {
            if (IsKnown && service.Assignment is { State: AssignmentState.Stuck } stuck)
            {
                yield return new StatusWarning("stuck", $"'{name}' is stuck on {stuck.Machine}: {stuck.Reason} Stop it there by hand.");
            }

            var drivers = string.Join(", ", BestEffortDrivers(name).Select(driver => driver.Name.Value).Distinct().Order(StringComparer.Ordinal));
            if (drivers.Length > 0)
            {
                yield return new StatusWarning("best-effort", $"Two masters of '{name}' are not ruled out for certain: {drivers} on {view.Self} can only try to stop. Prefer drivers that stop for certain, like `shell: run`.");
            }
        }
    }

    private static long? TokenOf(LocalServiceView here) => here.Token == Token.None ? null : here.Token.Value;

    private static long? Milliseconds(TimeSpan? time) => time is { } known ? (long)known.TotalMilliseconds : null;

    internal static string Seconds(TimeSpan time) => time.TotalSeconds.ToString(time.TotalSeconds < 10 ? "0.0##" : "0", CultureInfo.InvariantCulture) + " s";

    /// <summary>"WaitingForLeaseEnd" as "waiting-for-lease-end".</summary>
    private static string Word(string name) => string.Concat(name.Select((letter, index) => char.IsUpper(letter) ? (index > 0 ? "-" : "") + char.ToLowerInvariant(letter) : letter.ToString()));
}
