using Clustd.Core.Cluster;

namespace Clustd.Core.Leading;

/// <summary>Which machines can run a service now, and which of them is the best. Remembers what is placed in the same pass.</summary>
internal sealed class MachineChoice
{
    private static readonly TimeSpan CoolDownFirst = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan CoolDownMaximum = TimeSpan.FromMinutes(10);

    private readonly PlacementView _view;
    private readonly SortedDictionary<MachineId, int> _loads = [];

    // Where each service is; null when none is to be apart from another, which is when nobody asks.
    private readonly SortedDictionary<ServiceName, MachineId>? _placed;

    public MachineChoice(PlacementView view)
    {
        _view = view;
        foreach (var service in view.State.Services.Values)
        {
            if (!service.Definition.ApartFrom.IsEmpty)
            {
                _placed = [];
                break;
            }
        }

        foreach (var (name, service) in view.State.Services)
        {
            if (service.Assignment is { } assignment)
            {
                Place(name, assignment.Machine);
            }
        }
    }

    public Instant WakeAt { get; private set; } = Instant.Never;

    public static bool IsAllowed(ServiceDefinition definition, MachineId machine) => definition.Machines.IsEmpty || definition.Machines.Contains(machine);

    /// <summary>Place in `prefer`; those that it does not name share the last one.</summary>
    public static int Rank(ServiceDefinition definition, MachineId machine)
    {
        var index = definition.Prefer.IndexOf(machine);
        return index < 0 ? definition.Prefer.Length : index;
    }

    /// <summary>10 s after the first failure, doubling to 10 min.</summary>
    public static TimeSpan CoolDown(int failures)
    {
        var doublings = Math.Clamp(failures - 1, 0, 10);
        var coolDown = CoolDownFirst * (1 << doublings);
        return coolDown < CoolDownMaximum ? coolDown : CoolDownMaximum;
    }

    /// <summary>The service, not placed until now, is on this machine or is to be.</summary>
    public void Place(ServiceName service, MachineId machine)
    {
        _loads[machine] = _loads.GetValueOrDefault(machine) + 1;
        _placed?.Add(service, machine);
    }

    /// <summary>True when the deadline is over; else makes sure that the leader looks again then.</summary>
    public bool IsOver(Instant deadline)
    {
        if (_view.Now >= deadline)
        {
            return true;
        }

        WakeAt = Instant.Min(WakeAt, deadline);
        return false;
    }

    public bool HasDriver(MachineId machine, ServiceName service) =>
        _view.Reports.TryGetValue(machine, out var report) && report.Of(service) is { HasDriver: true };

    /// <summary>By prefer, then fewest services, then id.</summary>
    public PlacementTarget Best(ServiceName name, ServiceState service, MachineId? except)
    {
        MachineId? best = null;
        var bestKey = (Rank: int.MaxValue, Load: int.MaxValue);
        var eligible = 0;
        var obstacles = new List<string>();
        foreach (var machine in _view.State.Members.Keys)
        {
            if (machine == except)
            {
                continue;
            }

            if (Obstacle(name, service, machine) is { } obstacle)
            {
                obstacles.Add($"{machine} {obstacle}");
                continue;
            }

            eligible++;
            var key = (Rank(service.Definition, machine), _loads.GetValueOrDefault(machine));
            if (best is null || key.CompareTo(bestKey) < 0)
            {
                (best, bestKey) = (machine, key);
            }
        }

        if (best is null)
        {
            return new PlacementTarget(null, obstacles.Count == 0 ? "there is no other machine" : string.Join("; ", obstacles));
        }

        var why = eligible == 1 ? "it is the only one that can run it"
            : bestKey.Rank < service.Definition.Prefer.Length ? $"it comes first in `prefer` of the {eligible} that can run it"
            : $"it runs the fewest services ({bestKey.Load}) of the {eligible} that can run it, first by name";
        return new PlacementTarget(best, obstacles.Count == 0 ? why : $"{why} ({string.Join("; ", obstacles)})");
    }

    /// <summary>Why the machine cannot take the service now, as the rest of a sentence that begins with its name; null when it can.</summary>
    public string? Obstacle(ServiceName name, ServiceState service, MachineId machine)
    {
        if (!_view.State.Members.TryGetValue(machine, out var member))
        {
            return "is not a member";
        }

        if (member.Witness)
        {
            return "is a witness";
        }

        if (!IsAllowed(service.Definition, machine))
        {
            return $"is not among the machines that may run '{name}'";
        }

        if (_view.State.SessionOf(machine) is null)
        {
            return "has no session";
        }

        if (_view.State.Drained.Contains(machine))
        {
            return "is drained";
        }

        if (!_view.Reports.TryGetValue(machine, out var report))
        {
            return "has not reported its drivers yet";
        }

        if (report.Leaving)
        {
            return "is leaving";
        }

        if (report.Stalled is { } stalled)
        {
            return stalled;
        }

        return ApartObstacle(name, service, machine) ?? DriverObstacle(name, service, machine, report) ?? CoolDownObstacle(service, machine);
    }

    private string? ApartObstacle(ServiceName name, ServiceState service, MachineId machine)
    {
        if (_placed is null)
        {
            return null;
        }

        foreach (var (other, at) in _placed)
        {
            if (at != machine || other == name)
            {
                continue;
            }

            var mutual = _view.State.Services.TryGetValue(other, out var known) && known.Definition.ApartFrom.Contains(name);
            if (mutual || service.Definition.ApartFrom.Contains(other))
            {
                return $"runs '{other}', which is to be apart from '{name}'";
            }
        }

        return null;
    }

    // A machine without any driver runs a service only in a cluster where nobody has one: there, being master is all there is to it.
    private string? DriverObstacle(ServiceName name, ServiceState service, MachineId machine, Raft.MachineReport report)
    {
        if (report.Of(name) is { HasDriver: true } readiness)
        {
            return readiness.Ready ? null : readiness.Missing.Length > 0 ? $"waits for its drivers ({readiness.Missing})" : "has drivers that are not ready";
        }

        if (!service.Definition.Drivers.IsEmpty)
        {
            return $"waits for its drivers ({string.Join(", ", service.Definition.Drivers)})";
        }

        foreach (var other in _view.Reports.Keys)
        {
            if (_view.State.Members.ContainsKey(other) && HasDriver(other, name))
            {
                return $"has no driver for it, and {other} has";
            }
        }

        return null;
    }

    private string? CoolDownObstacle(ServiceState service, MachineId machine)
    {
        if (!service.Failures.TryGetValue(machine, out var failure))
        {
            return null;
        }

        var coolDown = CoolDown(failure.Count);
        return IsOver(_view.AppliedAt(failure.Index) + coolDown)
            ? null
            : $"cools down for {coolDown.TotalSeconds:0} s after {failure.Count} failure(s), the last: {failure.Reason}";
    }
}
