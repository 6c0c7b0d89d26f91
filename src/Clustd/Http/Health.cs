using Clustd.Core;

namespace Clustd.Http;

/// <summary>The short answers for load balancers and supervisors: yes or no, and one sentence. Pure.</summary>
public static class Health
{
    /// <summary>An older view than this means that the decision loop stands still.</summary>
    public static readonly TimeSpan LoopLatenessMax = TimeSpan.FromSeconds(2);

    /// <summary>Whether this machine is the master of the service at this moment; null: the cluster has no such service.</summary>
    public static (bool? IsMaster, string Sentence) Master(MachineView view, TimeSpan viewAge, ServiceName service)
    {
        var maker = new StatusMaker(view, new StatusContext { ViewAge = viewAge });
        if (maker.RunsHere(service))
        {
            return (true, $"'{service}' runs on {view.Self} under token {maker.LocalOf(service)!.Token}.");
        }

        if (!view.State.Services.TryGetValue(service, out var known))
        {
            return maker.IsKnown ? (null, $"There is no service '{service}'.") : (false, $"Nothing is known of '{service}'. {maker.WhyUnknown()}");
        }

        var isOurs = known.Assignment?.Machine == view.Self;
        return (false, !maker.IsKnown || (isOurs && maker.SessionLeft == TimeSpan.Zero) ? $"'{service}' does not run on {view.Self}, and where it runs is not known. {maker.WhyUnknown()}"
            : known.Assignment is not { } held ? $"'{service}' has no master just now. {known.Reason}"
            : isOurs ? $"'{service}' is assigned to {view.Self}, but does not run yet, or not any more. {maker.LocalOf(service)?.Reason}".TrimEnd()
            : $"'{service}' does not run on {view.Self} but on {held.Machine}.");
    }

    /// <summary>Whether the daemon's decision loop works.</summary>
    public static (bool IsAlive, string Sentence) Live(TimeSpan viewAge) => viewAge <= LoopLatenessMax
        ? (true, "Alive.")
        : (false, $"The decision loop has stood still for {StatusMaker.Seconds(viewAge)}.");

    /// <summary>Whether this machine takes part: it knows the cluster's state and holds its session.</summary>
    public static (bool IsReady, string Sentence) Ready(MachineView view, TimeSpan viewAge)
    {
        var maker = new StatusMaker(view, new StatusContext { ViewAge = viewAge });
        return view.IsLeaving ? (false, $"{view.Self} is leaving.")
            : view.IsRestarting ? (false, $"{view.Self} restarts.")
            : !maker.IsKnown || maker.SessionLeft == TimeSpan.Zero ? (false, maker.WhyUnknown())
            : (true, $"{view.Self} takes part in the cluster.");
    }
}
