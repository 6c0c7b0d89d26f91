namespace Clustd.Config;

/// <summary>Reads the items of `drivers:` and the `script:` of a 2018 driver file.</summary>
internal sealed class DriverReader(ProblemList problems, bool servicesMayBeElsewhere)
{
    /// <summary>The kinds that a file may hold. A new kind is a record, a section of the key table and a line here.</summary>
    private static readonly IReadOnlyDictionary<string, Func<ConfigSection, DriverCommon, ProblemList, DriverConfig>> Kinds =
        new SortedDictionary<string, Func<ConfigSection, DriverCommon, ProblemList, DriverConfig>>(StringComparer.Ordinal)
        {
            ["shell"] = Shell,
        };

    private readonly HashSet<string> names = new(StringComparer.Ordinal);

    private sealed record DriverCommon(string Service, string Name, int Order, bool Required, TimeSpan? StopTimeout, TimeSpan? KillTimeout);

    private sealed record Item(string Kind, ConfigSection Section);

    /// <param name="services">The services of the same file; null if it names none, then the cluster's count.</param>
    public IReadOnlyList<DriverConfig> ReadList(IReadOnlyList<ConfigNode>? nodes, IReadOnlyList<ServiceConfig>? services) =>
        Build([.. (nodes ?? []).Select(One).OfType<Item>()], services);

    public IReadOnlyList<DriverConfig> ReadScript(MappingNode script) =>
        Build([new Item("shell", new ConfigSection(script, "script", ConfigKeys.In(ConfigKeys.ShellSection), problems))], null);

    private Item? One(ConfigNode node, int index)
    {
        if (node is not MappingNode { Entries: [var entry] })
        {
            var why = node is MappingNode mapping ? $"it has {mapping.Entries.Count} keys; a list item begins with '- ' and its keys are indented below its kind" : $"it is {node.Kind}";
            problems.Error(node.At, $"Driver {index + 1} of 'drivers' is not one kind with its keys", why, "Write `- shell: { run: ./web }`.");
            return null;
        }
        if (!Kinds.ContainsKey(entry.Key))
        {
            problems.Error(entry.KeyAt, $"Unknown driver '{ProblemList.Show(entry.Key)}'", $"this version has {string.Join(", ", Kinds.Keys)}",
                Suggestion.Nearest(entry.Key, Kinds.Keys) is { } nearest ? $"Did you mean '{nearest}'?" : "Use one of these, or connect a program of your own as a driver.");
            return null;
        }
        if (entry.Value is MappingNode keys) return new Item(entry.Key, new ConfigSection(keys, $"drivers[{index}].{entry.Key}", ConfigKeys.In(ConfigKeys.ShellSection), problems));
        problems.Error(entry.Value.At, $"Driver {index + 1} of 'drivers' has no keys", $"'{entry.Key}' holds {entry.Value.Kind}",
            "Write `- shell: { run: ./web }`.");
        return null;
    }

    private IReadOnlyList<DriverConfig> Build(IReadOnlyList<Item> items, IReadOnlyList<ServiceConfig>? services)
    {
        // Names given in the file come first: no default may take one of them away.
        var given = items.Select(item => item.Section.Has(ConfigKeys.DriverName) ? item.Section.Text(ConfigKeys.DriverName) : null).ToList();
        for (var i = 0; i < items.Count; i++)
        {
            if (given[i] is not { } name || names.Add(name)) continue;
            problems.Error(items[i].Section.PlaceOf(ConfigKeys.DriverName), $"Two drivers are named '{name}'", "a name belongs to one driver of a machine",
                "Rename one, or remove 'name' for a name of its own.");
        }
        return [.. items.Select((item, i) => Read(item, given[i], services))];
    }

    private DriverConfig Read(Item item, string? name, IReadOnlyList<ServiceConfig>? services)
    {
        var section = item.Section;
        var serviceName = section.Text(ConfigKeys.DriverService)!;
        var common = new DriverCommon(serviceName, name ?? FreeName(serviceName, item.Kind), section.Number(ConfigKeys.Order), section.Switch(ConfigKeys.Required),
            section.DurationOrNull(ConfigKeys.DriverStopTimeout), section.DurationOrNull(ConfigKeys.DriverKillTimeout));
        CheckService(section, common, services);
        return Kinds[item.Kind](section, common, problems);
    }

    private string FreeName(string service, string kind)
    {
        var first = $"{service}-{kind}";
        if (first.Length > ConfigName.LengthMax - 4) first = first[..(ConfigName.LengthMax - 4)];
        var name = first;
        for (var n = 2; !names.Add(name); n++) name = $"{first}-{n}";
        return name;
    }

    private void CheckService(ConfigSection section, DriverCommon driver, IReadOnlyList<ServiceConfig>? services)
    {
        var at = section.PlaceOf(ConfigKeys.DriverService);
        var service = (services ?? [ServiceConfig.Default]).FirstOrDefault(s => s.Name == driver.Service);
        if (service is not null)
        {
            CheckLimit(section, ConfigKeys.DriverStopTimeout, driver.StopTimeout, service.StopTimeout, service.Name);
            CheckLimit(section, ConfigKeys.DriverKillTimeout, driver.KillTimeout, service.KillTimeout, service.Name);
        }
        else if (services is not null)
        {
            var nearest = Suggestion.Nearest(driver.Service, services.Select(s => s.Name));
            problems.Error(at, $"There is no service '{driver.Service}'", $"'services' has {string.Join(", ", services.Select(s => ProblemList.Show(s.Name)))}",
                nearest is null ? $"Add `{driver.Service}: {{}}` there, or set {section.Named(ConfigKeys.DriverService)}." : $"Did you mean '{nearest}'?");
        }
        else if (!servicesMayBeElsewhere)
        {
            problems.Warning(at, $"Service '{driver.Service}' is not in this file",
                "a file without 'services' takes the cluster's, so the driver runs only if another machine's file has that service",
                $"Add `services: {{ {driver.Service}: {{}} }}`, or leave 'service' out for the service 'default'.");
        }
    }

    private void CheckLimit(ConfigSection section, DurationKey key, TimeSpan? needed, TimeSpan given, string service)
    {
        if (needed <= given || needed is null) return;
        problems.Error(section.PlaceOf(key), $"{section.Named(key)} is more than its service gives",
            $"{ConfigDuration.Text(needed.Value)} is longer than the {ConfigDuration.Text(given)} of service '{service}'",
            $"Raise `{key.Name}` of the service, or lower it here.");
    }

    private static ShellDriverConfig Shell(ConfigSection section, DriverCommon common, ProblemList problems)
    {
        var driver = new ShellDriverConfig
        {
            Service = common.Service, Name = common.Name, Order = common.Order, Required = common.Required,
            StopTimeout = common.StopTimeout, KillTimeout = common.KillTimeout,
            Run = section.Text(ConfigKeys.Run),
            Start = section.Text(ConfigKeys.Start),
            Stop = section.Text(ConfigKeys.Stop),
            Cwd = section.Text(ConfigKeys.Cwd),
            Env = section.Map(ConfigKeys.Env),
            Shell = section.Text(ConfigKeys.Shell)!,
            User = section.Text(ConfigKeys.User),
        };
        var at = section.PlaceOf(ConfigKeys.Run);
        if (!section.Has(ConfigKeys.Run) && !section.Has(ConfigKeys.Start) && !section.Has(ConfigKeys.Stop))
        {
            problems.Error(at, "A shell driver has nothing to do", "it has neither 'run' nor 'start' and 'stop'",
                "Add `run: COMMAND` for a process, or `start: COMMAND` and `stop: COMMAND`.");
        }
        else if (section.Has(ConfigKeys.Run) && (section.Has(ConfigKeys.Start) || section.Has(ConfigKeys.Stop)))
        {
            problems.Error(at, "A shell driver has both 'run' and 'start' or 'stop'", "either clustd supervises a process, or it calls scripts",
                "Keep 'run', and put the scripts into a driver of their own.");
        }
        else if (section.Has(ConfigKeys.Start) && !section.Has(ConfigKeys.Stop))
        {
            problems.Warning(section.PlaceOf(ConfigKeys.Start), "A shell driver has 'start' but no 'stop'",
                "nothing ends what 'start' began when another machine takes over", "Add `stop: COMMAND`, or use `run: COMMAND`.");
        }
        return driver;
    }
}
