using Clustd.Config.Drivers;

namespace Clustd.Config;

/// <summary>Loads configurations. Nothing here throws for a bad file: problems are values, all of them at once.</summary>
public static class ConfigLoader
{
    /// <summary>Loads <paramref name="path"/> (--config), else the first of $CLUSTD_CONFIG, ./config.yml and /etc/clustd/config.yml that is there.</summary>
    public static ConfigResult Load(string? path, ConfigSurroundings surroundings)
    {
        var problems = new ProblemList();
        if (Find(path, surroundings) is not { } found)
        {
            // In a container the environment alone can be the configuration.
            if (surroundings.Variable("CLUSTD__CLUSTER__SECRET") is not null) return Build(new MappingNode(new Place("environment", 0, 0), []), null, surroundings.WorkingDirectory, surroundings, problems);
            problems.Error(new Place("./config.yml", 0, 0), "There is no configuration",
                $"neither ./config.yml nor {surroundings.SystemConfigPath} exists, and $CLUSTD_CONFIG is not set",
                "Write one with `clustd init ADDRESS...`, or name yours with --config.");
            return new ConfigResult { Errors = problems.Errors };
        }
        return FromFile(found, surroundings, problems);
    }

    /// <summary>Reads a configuration from text; <paramref name="file"/> is the name in messages.</summary>
    public static ConfigResult Parse(string text, string file, ConfigSurroundings surroundings)
    {
        var problems = new ProblemList();
        var root = new YamlReader(text, file, problems).Read();
        return root is null ? Refused(problems, null) : Build(root, null, surroundings.WorkingDirectory, surroundings, problems);
    }

    /// <summary>
    /// What `clustd drivers` runs: a driver file (it has `host`), or the drivers of a daemon's file, which then connect to that daemon on loopback. The same
    /// search as <see cref="Load"/>.
    /// </summary>
    public static DriverFileResult LoadDrivers(string? path, ConfigSurroundings surroundings)
    {
        if (Find(path, surroundings) is not { } found || found.Contains('\0')) return OfDaemon(Load(path, surroundings));
        var problems = new ProblemList();
        var full = Path.GetFullPath(found, surroundings.WorkingDirectory);
        var text = ConfigFile.ReadText(full, found, problems);
        var root = text is null ? null : new YamlReader(text, found, problems).Read();
        if (root is not null && !IsDriverFile(root)) return OfDaemon(FromFile(found, surroundings, new ProblemList()));
        return root is null ? RefusedDrivers(problems, full) : BuildDrivers(root, full, Path.GetDirectoryName(full)!, surroundings, problems);
    }

    /// <summary>Reads a driver file from text; <paramref name="file"/> is the name in messages.</summary>
    public static DriverFileResult ParseDriverFile(string text, string file, ConfigSurroundings surroundings)
    {
        var problems = new ProblemList();
        var root = new YamlReader(text, file, problems).Read();
        return root is null ? RefusedDrivers(problems, null) : BuildDrivers(root, null, surroundings.WorkingDirectory, surroundings, problems);
    }

    private static string? Find(string? path, ConfigSurroundings surroundings)
    {
        if (!string.IsNullOrEmpty(path)) return path;
        if (surroundings.Variable("CLUSTD_CONFIG") is { } named) return named;
        if (File.Exists(Path.Combine(surroundings.WorkingDirectory, "config.yml"))) return "config.yml";
        return File.Exists(surroundings.SystemConfigPath) ? surroundings.SystemConfigPath : null;
    }

    private static ConfigResult FromFile(string found, ConfigSurroundings surroundings, ProblemList problems)
    {
        if (found.Contains('\0'))
        {
            problems.Error(new Place("--config", 0, 0), "The path holds a null character", "no file can have such a name", "Correct the path.");
            return Refused(problems, null);
        }
        var full = Path.GetFullPath(found, surroundings.WorkingDirectory);
        var text = ConfigFile.ReadText(full, found, problems);
        var root = text is null ? null : new YamlReader(text, found, problems).Read();
        return root is null ? Refused(problems, full) : Build(root, full, Path.GetDirectoryName(full)!, surroundings, problems);
    }

    private static ConfigResult Build(MappingNode root, string? path, string folder, ConfigSurroundings surroundings, ProblemList problems)
    {
        if (IsDriverFile(root))
        {
            problems.Error(root.At, "This is a driver file", "it has 'host', a daemon's file has 'server' and 'cluster'",
                "Use it with `clustd drivers --config FILE`.");
            return Refused(problems, path);
        }
        var config = new ConfigBuilder(path, folder, surroundings, problems).Build(EnvironmentOverrides.Apply(root, surroundings, problems));
        return problems.HasErrors ? Refused(problems, path) : new ConfigResult { Config = config, Warnings = problems.Warnings, Path = path };
    }

    private static DriverFileResult BuildDrivers(MappingNode root, string? path, string folder, ConfigSurroundings surroundings, ProblemList problems)
    {
        var top = new ConfigSection(root, "", ConfigKeys.In(ConfigKeys.DriverFileTop), problems);
        var host = top.Text(ConfigKeys.FileHost);
        var secret = top.Text(ConfigKeys.FileSecret) is { } written ? SecretReader.Read(written, "'secret'", top.PlaceOf(ConfigKeys.FileSecret), folder, surroundings, problems) : null;
        var reader = new DriverReader(problems, folder, surroundings, servicesMayBeElsewhere: true);
        var drivers = reader.ReadList(top.Items(ConfigKeys.FileDrivers), null).ToList();
        if (top.Mapping(ConfigKeys.FileScript) is { } script) drivers.InsertRange(0, reader.ReadSole(DriverKinds.Shell, "script", script));
        if (top.Mapping(ConfigKeys.FileCloudflare) is { } cloudflare) drivers.Add(reader.ReadCloudflare(cloudflare));
        if (!top.Has(ConfigKeys.FileScript) && !top.Has(ConfigKeys.FileDrivers) && !top.Has(ConfigKeys.FileCloudflare))
            problems.Error(root.At, "The file has no driver", "none of 'script', 'cloudflare' and 'drivers' is there", "Add `script: { start: COMMAND, stop: COMMAND }`.");
        if (problems.HasErrors || host is null || secret is null) return RefusedDrivers(problems, path);
        return new DriverFileResult
        {
            Config = new DriverFileConfig { Host = new Uri($"ws://{host}"), Secret = secret, Drivers = drivers, Path = path },
            Warnings = problems.Warnings, Path = path,
        };
    }

    private static bool IsDriverFile(MappingNode root) => root["cluster"] is null && root["server"] is null && (root["host"] is not null || root["script"] is not null || root["cloudflare"] is not null);

    private static DriverFileResult OfDaemon(ConfigResult daemon)
    {
        if (daemon.Config is not { } config) return new DriverFileResult { Errors = daemon.Errors, Warnings = daemon.Warnings, Path = daemon.Path };
        // Plain text is for loopback only; a daemon that listens on one interface is reached there.
        var host = OwnAddress.IsEveryInterface(config.Server.BindAddress) ? "127.0.0.1" : config.Server.BindAddress;
        return new DriverFileResult
        {
            Config = new DriverFileConfig { Host = new Uri(new MachineAddress(host, config.Server.BindPort).ToUrl()), Secret = config.Cluster.Secret, Drivers = config.Drivers, Watchdog = config.Watchdog, Path = config.Path },
            Warnings = daemon.Warnings, Path = daemon.Path,
        };
    }

    private static ConfigResult Refused(ProblemList problems, string? path) => new() { Errors = problems.Errors, Warnings = problems.Warnings, Path = path };

    private static DriverFileResult RefusedDrivers(ProblemList problems, string? path) => new(
        ) { Errors = problems.Errors, Warnings = problems.Warnings, Path = path };
}
