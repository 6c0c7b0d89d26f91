namespace Clustd.Config;

/// <summary>
/// CLUSTD__SECTION__KEY beats the file: CLUSTD__CLUSTER__LEASE=2s, CLUSTD__CLUSTER__MACHINES=ws://a:1,ws://b:1, CLUSTD__SERVICES__WEB__KILL_TIMEOUT=1s
/// (a service that the file names; . and - are written _). Empty values are as good as unset. Drivers stay in the file.
/// </summary>
internal static class EnvironmentOverrides
{
    public const string Prefix = "CLUSTD__";

    public static MappingNode Apply(MappingNode file, ConfigSurroundings surroundings, ProblemList problems)
    {
        foreach (var (name, value) in surroundings.Environment.Where(v => v.Key.StartsWith(Prefix, StringComparison.Ordinal) && v.Value.Length > 0).OrderBy(v => v.Key, StringComparer.Ordinal))
        {
            var at = new Place(ProblemList.Show(name), 0, 0);
            var parts = name[Prefix.Length..].Split("__");
            var section = parts[0].ToLowerInvariant();
            file = (section, parts.Length) switch
            {
                (ConfigKeys.ServerSection or ConfigKeys.ClusterSection or ConfigKeys.WatchdogSection, 2) => Set(file, section, section, parts[1], value, at, problems),
                ("services", >= 3) => SetService(file, string.Join("__", parts[1..^1]), parts[^1], value, at, problems),
                _ => Unknown(file, at, problems),
            };
        }
        return file;
    }

    private static MappingNode Set(MappingNode parent, string name, string section, string word, string value, Place at, ProblemList problems)
    {
        var key = ConfigKeys.In(section).FirstOrDefault(k => string.Equals(k.Name, word, StringComparison.OrdinalIgnoreCase));
        if (key is null)
        {
            ConfigSection.UnknownKey(problems, at, word.ToLowerInvariant(), name, [.. ConfigKeys.In(section).Select(k => k.Name)]);
            return parent;
        }
        ConfigNode node = key is ListKey
            ? new ListNode(at, [.. value.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(item => new ScalarNode(at, item, Quoted: true))])
            : new ScalarNode(at, value, Quoted: true);
        var before = parent[name];
        // What is no mapping gets its message when the section is read.
        if (before is not (null or MappingNode or { IsNull: true })) return parent;
        return parent.With(name, (before as MappingNode ?? new MappingNode(at, [])).With(key.Name, node));
    }

    private static MappingNode SetService(MappingNode file, string service, string word, string value, Place at, ProblemList problems)
    {
        var services = file["services"] as MappingNode;
        var names = services?.Entries.Where(e => string.Equals(e.Key.Replace('-', '_').Replace('.', '_'), service, StringComparison.OrdinalIgnoreCase)).Select(e => e.Key).ToList() ?? [];
        if (names.Count == 1) return file.With("services", Set(services!, names[0], ConfigKeys.ServiceSection, word, value, at, problems));
        problems.Error(at, "The variable names no service",
            names.Count == 0 ? $"the file has no service '{ProblemList.Show(service.ToLowerInvariant())}'" : $"'{string.Join("' and '", names)}' would both be meant",
            "Name one of the services of the file, or unset the variable.");
        return file;
    }

    private static MappingNode Unknown(MappingNode file, Place at, ProblemList problems)
    {
        problems.Error(at, "The variable sets nothing", "it is not CLUSTD__SERVER__KEY, CLUSTD__CLUSTER__KEY, CLUSTD__WATCHDOG__KEY or CLUSTD__SERVICES__NAME__KEY",
            "Correct its name, or unset it; drivers are written in the file.");
        return file;
    }
}
