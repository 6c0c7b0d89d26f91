using System.Collections.Immutable;
using Clustd.Core.Cluster;

namespace Clustd.Core.Leading;

/// <summary>What the cluster's services should be. Command null: no action, because of Reason.</summary>
public sealed record ServicesDecision(Command.DefineServices? Command, string Reason);

/// <summary>After forming the log rules: what the files say is a proposal that takes effect when all live machines that name services name the same.</summary>
internal static class ServicesProposal
{
    public static ServicesDecision Decide(PlacementView view)
    {
        MachineId? first = null;
        ImmutableArray<ServiceDefinition> proposal = default;
        foreach (var session in view.State.Sessions.Values.OrderBy(session => session.Machine))
        {
            if (!view.Reports.TryGetValue(session.Machine, out var report))
            {
                return Nothing($"{session.Machine} has a session but has not reported its services yet");
            }

            if (report.Proposal is not { } named)
            {
                continue; // a machine without `services` takes the cluster's
            }

            var sorted = named.Sort((left, right) => left.Name.CompareTo(right.Name));
            if (first is null)
            {
                (first, proposal) = (session.Machine, sorted);
            }
            else if (Difference(proposal, sorted, first.Value.ToString(), session.Machine.ToString()) is { } difference)
            {
                return Nothing($"the machines' files differ: {difference}. Make `services` the same in all files, then restart those that you changed");
            }
        }

        var defined = view.State.Services.Values.Where(service => !service.Retired).Select(service => service.Definition).ToImmutableArray();
        if (first is null)
        {
            return view.State.Sessions.Count > 0 && view.State.Services.IsEmpty
                ? new ServicesDecision(
                    new Command.DefineServices([new ServiceDefinition { Name = ServiceName.Default }]), "No machine's file names services: there is one, 'default'.")
                : Nothing("no machine's file names services");
        }

        if (FeatureLevels.Of(new Command.DefineServices(proposal)) > view.State.FeatureLevel)
        {
            return Nothing("the files require fencing, and not all machines run a version that knows it: install it on all of them");
        }

        return Difference(defined, proposal, "the cluster", first.Value.ToString()) is { } change
            ? new ServicesDecision(new Command.DefineServices(proposal), $"The services change to what the files of all live machines say: {change}.")
            : Nothing("the services are what the files say");
    }

    // Null when they are the same; else the first thing that differs, as "web.kill_timeout is 500 ms in cm-1 and 1 s in cm-2".
    private static string? Difference(ImmutableArray<ServiceDefinition> left, ImmutableArray<ServiceDefinition> right, string leftName, string rightName)
    {
        if (left.AsSpan().SequenceEqual(right.AsSpan()))
        {
            return null; // Both are sorted: what is the same needs no search, and it is the same nearly always.
        }

        foreach (var one in left)
        {
            if (!right.Any(other => other.Name == one.Name))
            {
                return $"'{one.Name}' is named by {leftName} and not by {rightName}";
            }
        }

        foreach (var other in right)
        {
            var one = left.FirstOrDefault(candidate => candidate.Name == other.Name);
            if (one is null)
            {
                return $"'{other.Name}' is named by {rightName} and not by {leftName}";
            }

            if (!one.Equals(other))
            {
                var (name, ours, theirs) = Settings(one).Zip(Settings(other)).Where(pair => pair.First.Value != pair.Second.Value)
                    .Select(pair => (pair.First.Name, pair.First.Value, pair.Second.Value)).First();
                return $"{name} of '{other.Name}' is {ours} in {leftName} and {theirs} in {rightName}";
            }
        }

        return null;
    }

    private static IEnumerable<(string Name, string Value)> Settings(ServiceDefinition definition)
    {
        yield return ("start_timeout", Words(definition.StartTimeout));
        yield return ("stop_timeout", Words(definition.StopTimeout));
        yield return ("kill_timeout", Words(definition.KillTimeout));
        yield return ("prefer", Words(definition.Prefer));
        yield return ("machines", Words(definition.Machines));
        yield return ("drivers", Words(definition.Drivers));
        yield return ("apart_from", Words(definition.ApartFrom));
        yield return ("failback", definition.Failback ? "true" : "false");
        yield return ("on_stop_failure", definition.FencesOnStopFailure ? "fence" : definition.OnStopFailure.ToString().ToLowerInvariant());
        yield return ("fencing", definition.RequiresFencing ? "required" : "none");
    }

    private static string Words(TimeSpan duration) => FormattableString.Invariant($"{duration.TotalMilliseconds:0.####} ms");

    private static string Words<T>(ImmutableArray<T> list) => $"[{string.Join(", ", list)}]";

    private static ServicesDecision Nothing(string because) => new(null, $"No action, because {because}.");
}
