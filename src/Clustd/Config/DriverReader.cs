using Clustd.Config.Drivers;
using Clustd.Drivers;

namespace Clustd.Config;

/// <summary>Reads the items of `drivers:` and the `script:` of a 2018 driver file.</summary>
/// <param name="folder">Of the file.</param>
internal sealed class DriverReader(ProblemList problems, string folder, ConfigSurroundings surroundings, bool servicesMayBeElsewhere)
{
    private readonly HashSet<string> names = new(StringComparer.Ordinal);

    private sealed record Item(DriverKind Kind, ConfigSection Section);

    /// <param name="services">The services of the same file; null if it names none, then the cluster's count.</param>
    public IReadOnlyList<DriverOptions> ReadList(IReadOnlyList<ConfigNode>? nodes, IReadOnlyList<ServiceConfig>? services) =>
        Build([.. (nodes ?? []).Select(One).OfType<Item>()], services);

    /// <summary>The one driver of a 2018 file, which stands there under a word of its own: `script`.</summary>
    public IReadOnlyList<DriverOptions> ReadSole(DriverKind kind, string label, MappingNode keys) => Build([new Item(kind, new ConfigSection(keys, label, kind.Keys, problems))], null);

    /// <summary>The other driver of a 2018 file, which has other words than that of the list.</summary>
    public DriverOptions ReadCloudflare(MappingNode keys) =>
        CloudflareFile.Read(new DriverReading(new ConfigSection(keys, "cloudflare", ConfigKeys.In(CloudflareFile.SectionName), problems), problems, folder, surroundings), FreeName(ServiceConfig.DefaultName, DriverKinds.Cloudflare.Word));

    private Item? One(ConfigNode node, int index)
    {
        if (node is not MappingNode { Entries: [var entry] })
        {
            var why = node is MappingNode mapping ? $"it has {mapping.Entries.Count} keys; a list item begins with '- ' and its keys are indented below its kind" : $"it is {node.Kind}";
            problems.Error(node.At, $"Driver {index + 1} of 'drivers' is not one kind with its keys", why, "Write `- shell: { run: ./web }`.");
            return null;
        }
        if (DriverKinds.Find(entry.Key) is not { } kind)
        {
            if (entry.Key == ConfigKeys.Watchdog.Name)
            {
                problems.Error(entry.KeyAt, "'watchdog' is no driver of a service", "it is the machine's, and the daemon itself feeds it", $"Move it to the top of the file: `watchdog: {ConfigKeys.Watchdog.Example}`.");
                return null;
            }
            problems.Error(entry.KeyAt, $"Unknown driver '{ProblemList.Show(entry.Key)}'", $"this version has {string.Join(", ", DriverKinds.Words)}",
                Suggestion.Nearest(entry.Key, DriverKinds.Words) is { } nearest ? $"Did you mean '{nearest}'?" : "Use one of these, or connect a program of your own as a driver.");
            return null;
        }
        if (entry.Value is MappingNode keys) return new Item(kind, new ConfigSection(keys, $"drivers[{index}].{entry.Key}", kind.Keys, problems));
        problems.Error(entry.Value.At, $"Driver {index + 1} of 'drivers' has no keys", $"'{entry.Key}' holds {entry.Value.Kind}",
            $"Write `- {kind.Word}: {kind.Example}`.");
        return null;
    }

    private IReadOnlyList<DriverOptions> Build(IReadOnlyList<Item> items, IReadOnlyList<ServiceConfig>? services)
    {
        // Names given in the file come first: no default may take one of them away.
        var given = items.Select(item => item.Section.Has(item.Kind.Common.Name) ? item.Section.Text(item.Kind.Common.Name) : null).ToList();
        for (var i = 0; i < items.Count; i++)
        {
            if (given[i] is not { } name || names.Add(name)) continue;
            problems.Error(items[i].Section.PlaceOf(items[i].Kind.Common.Name), $"Two drivers are named '{name}'", "a name belongs to one driver of a machine",
                "Rename one, or remove 'name' for a name of its own.");
        }
        return [.. items.Select((item, i) => Read(item, given[i], services))];
    }

    private DriverOptions Read(Item item, string? name, IReadOnlyList<ServiceConfig>? services)
    {
        var (section, keys) = (item.Section, item.Kind.Common);
        var service = section.Text(keys.Service)!;
        var driver = item.Kind.Read(new DriverReading(section, problems, folder, surroundings)) with
        {
            Service = service,
            Name = name ?? FreeName(service, item.Kind.Word),
            Order = section.Number(keys.Order),
            Required = section.Switch(keys.Required),
            StopTimeout = section.DurationOrNull(keys.StopTimeout),
            KillTimeout = section.DurationOrNull(keys.KillTimeout),
        };
        CheckService(section, keys, driver, services);
        return driver;
    }

    private string FreeName(string service, string kind)
    {
        var first = $"{service}-{kind}";
        if (first.Length > ConfigName.LengthMax - 4) first = first[..(ConfigName.LengthMax - 4)];
        var name = first;
        for (var n = 2; !names.Add(name); n++) name = $"{first}-{n}";
        return name;
    }

    private void CheckService(ConfigSection section, DriverCommonKeys keys, DriverOptions driver, IReadOnlyList<ServiceConfig>? services)
    {
        var at = section.PlaceOf(keys.Service);
        var service = (services ?? [ServiceConfig.Default]).FirstOrDefault(s => s.Name == driver.Service);
        if (service is not null)
        {
            CheckLimit(section, keys.StopTimeout, driver.StopTimeout, service.StopTimeout, service.Name);
            CheckLimit(section, keys.KillTimeout, driver.KillTimeout, service.KillTimeout, service.Name);
        }
        else if (services is not null)
        {
            var nearest = Suggestion.Nearest(driver.Service!, services.Select(s => s.Name));
            problems.Error(at, $"There is no service '{driver.Service}'", $"'services' has {string.Join(", ", services.Select(s => ProblemList.Show(s.Name)))}",
                nearest is null ? $"Add `{driver.Service}: {{}}` there, or set {section.Named(keys.Service)}." : $"Did you mean '{nearest}'?");
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
}
