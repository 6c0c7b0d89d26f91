using Clustd.Drivers;

namespace Clustd.Config;

/// <summary>Reads `services:`.</summary>
internal sealed class ServiceReader(ProblemList problems)
{
    /// <summary>Sorted by name; null if the file names none.</summary>
    public IReadOnlyList<ServiceConfig>? Read(ConfigSection top)
    {
        if (top.Mapping(ConfigKeys.Services) is not { Entries.Count: > 0 } mapping) return null;
        var names = mapping.Entries.Select(e => e.Key).ToList();
        return [.. mapping.Entries.Select(entry => One(entry, names)).OrderBy(s => s.Name, StringComparer.Ordinal)];
    }

    private ServiceConfig One(MappingEntry entry, IReadOnlyList<string> names)
    {
        var label = $"services.{ProblemList.Show(entry.Key)}";
        if (ConfigName.WhyNot(entry.Key) is { } why)
        {
            problems.Error(entry.KeyAt, $"'{ProblemList.Show(entry.Key)}' cannot be the name of a service", why, ConfigName.Rule);
        }
        if (entry.Value is not MappingNode && !entry.Value.IsNull)
        {
            problems.Error(entry.Value.At, $"'{label}' is {entry.Value.Kind}", "it should be a mapping",
                $"Write `{ProblemList.Show(entry.Key)}: {{}}` for a service with all defaults.");
        }
        var section = new ConfigSection(entry.Value as MappingNode ?? new MappingNode(entry.KeyAt, []), label, ConfigKeys.In(ConfigKeys.ServiceSection), problems);
        var service = new ServiceConfig
        {
            Name = entry.Key,
            StartTimeout = section.Duration(ConfigKeys.StartTimeout),
            StopTimeout = section.Duration(ConfigKeys.StopTimeout),
            KillTimeout = section.Duration(ConfigKeys.KillTimeout),
            Prefer = section.List(ConfigKeys.Prefer),
            Failback = section.Switch(ConfigKeys.Failback),
            ApartFrom = section.List(ConfigKeys.ApartFrom),
            Drivers = section.List(ConfigKeys.RequiredDrivers),
            Machines = section.List(ConfigKeys.AllowedMachines),
            OnStopFailure = section.Choice(ConfigKeys.OnStopFailure) switch
            {
                "takeover" => StopFailureAction.Takeover,
                "fence" => StopFailureAction.Fence,
                _ => StopFailureAction.Block,
            },
            RequiresFencing = section.Choice(ConfigKeys.Fencing) == "required",
        };
        CheckNames(section, service, names);
        return service;
    }

    private void CheckNames(ConfigSection section, ServiceConfig service, IReadOnlyList<string> names)
    {
        foreach (var other in service.ApartFrom)
        {
            if (other == service.Name)
            {
                problems.Error(section.PlaceOf(ConfigKeys.ApartFrom), $"'{other}' is apart from itself", "one machine at a time runs it in any case",
                    $"Remove it from {section.Named(ConfigKeys.ApartFrom)}.");
            }
            else if (!names.Contains(other))
            {
                var nearest = Suggestion.Nearest(other, names);
                problems.Error(section.PlaceOf(ConfigKeys.ApartFrom), $"There is no service '{other}'",
                    $"{section.Named(ConfigKeys.ApartFrom)} names it, 'services' has {string.Join(", ", names.Select(ProblemList.Show))}",
                    nearest is null ? "Add the service, or remove the name." : $"Did you mean '{nearest}'?");
            }
        }
        foreach (var id in service.Machines.Count == 0 ? [] : service.Prefer.Where(id => !service.Machines.Contains(id)))
        {
            problems.Error(section.PlaceOf(ConfigKeys.Prefer), $"'{id}' is preferred but not allowed",
                $"{section.Named(ConfigKeys.AllowedMachines)} lists only {string.Join(", ", service.Machines)}", "Add it there, or remove it here.");
        }
        if (service.OnStopFailure == StopFailureAction.Fence && !service.RequiresFencing)
        {
            problems.Error(section.PlaceOf(ConfigKeys.OnStopFailure), $"{section.Named(ConfigKeys.OnStopFailure)} is 'fence' without fencing",
                $"{section.Named(ConfigKeys.Fencing)} is 'none', so nobody would wait until the machine is off", "Add `fencing: required` and `fence` drivers, or write 'block'.");
        }
        if (service.Failback && service.Prefer.Count == 0)
        {
            problems.Warning(section.PlaceOf(ConfigKeys.Failback), $"{section.Named(ConfigKeys.Failback)} does nothing", "no machine is preferred",
                "Add `prefer: [ID]`.");
        }
    }
}
