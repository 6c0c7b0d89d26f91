using System.Globalization;
using Clustd.Client;
using Clustd.Drivers.Processes;

namespace Clustd.Drivers.Ocf;

/// <summary>Calls the actions of one agent as Pacemaker would, each under a guard: one that hangs is killed with all that it started.</summary>
internal sealed class OcfAgent(OcfDriverOptions options, GuardCommand guard, Action<DriverLogLevel, string> log)
{
    private const string ReasonPrefix = "ocf-exit-reason:";
    private const string RunFolder = "/run/resource-agents"; // HA_RSCTMP of Debian's package: state that must not outlive a boot
    private const int MetadataBytesMax = 4_000_000;
    private static readonly TimeSpan MetadataLimit = TimeSpan.FromSeconds(20);

    private OcfMetadata? _metadata;
    private DateTime _metadataOf; // when the agent's file was written last

    /// <summary>What has been read so far; null before <see cref="ReadMetadataAsync"/>.</summary>
    public OcfMetadata? Metadata => _metadata;

    /// <summary>Runs an action. A code other than 0 is no exception: what it means depends on the action.</summary>
    /// <param name="why">Whose state is acted on; the agent finds it as CLUSTD_*.</param>
    /// <param name="interval">Of a monitor; zero: once.</param>
    /// <param name="family">Takes the processes that it leaves running; null: they live on.</param>
    public async Task<OcfExit> CallAsync(string action, Trigger why, string? machine, TimeSpan limit, TimeSpan interval, CancellationToken cancellationToken, OcfFamily? family = null)
    {
        if (!File.Exists(options.AgentFile)) return new(OcfExit.None, NotThere);
        string said = "";
        var level = action == "monitor" ? DriverLogLevel.Debug : DriverLogLevel.Info;
        void Hear(string line)
        {
            if (line.StartsWith(ReasonPrefix, StringComparison.Ordinal)) said = line[ReasonPrefix.Length..].Trim();
            else log(level, $"{action}| {line}");
        }

        var spec = Describe([options.AgentFile, action], EnvironmentOf(action, why, machine, limit, interval));
        if (family is not null) spec = family.Held(spec);
        return await GuardedRun.RunAsync(guard, spec, limit, Hear, cancellationToken, family is null ? null : family.Began).ConfigureAwait(false) switch
        {
            GuardedRunEnd.Ended { Exit.Signal: 0 } end => new(end.Exit.Code, said.Length > 0 || end.Exit.Code is OcfExit.Success or OcfExit.NotRunning ? said : string.Join(" / ", end.Lines.TakeLast(3))),
            GuardedRunEnd.Ended end => new(OcfExit.None, end.Exit.Sentence),
            GuardedRunEnd.TimedOut end => new(OcfExit.None, $"no end within {limit.TotalSeconds:0.###} s: {end.Fate}"),
            GuardedRunEnd.NotRun end => new(OcfExit.None, $"it could not be run: {end.Reason}"),
            var other => throw new System.Diagnostics.UnreachableException(other.ToString()),
        };
    }

    /// <summary>What the agent says about itself; read once, and again when its file has changed.</summary>
    /// <exception cref="DriverFailedException">It is not there, or says nothing that can be understood.</exception>
    public async Task<OcfMetadata> ReadMetadataAsync(Trigger why, string? machine, CancellationToken cancellationToken)
    {
        if (!File.Exists(options.AgentFile)) throw new DriverFailedException($"Cannot use {options.Agent}: {NotThere}");
        DateTime written = File.GetLastWriteTimeUtc(options.AgentFile);
        if (_metadata is { } known && _metadataOf == written) return known;
        // Into a file: what comes through the guard is for people, in lines of bounded length, with the standard error in between.
        string folder = Directory.CreateTempSubdirectory("clustd-ocf-").FullName;
        try
        {
            string file = Path.Combine(folder, "meta-data.xml");
            string[] command = ["/bin/sh", "-c", $"exec \"$0\" meta-data 2>/dev/null > \"$1\"", options.AgentFile, file];
            var spec = Describe(command, EnvironmentOf("meta-data", why, machine, MetadataLimit, TimeSpan.Zero));
            var end = await GuardedRun.RunAsync(guard, spec, MetadataLimit, _ => { }, cancellationToken).ConfigureAwait(false);
            if (end is not GuardedRunEnd.Ended { Exit.Succeeded: true })
                throw new DriverFailedException($"Cannot use {options.Agent}: it does not tell its meta-data ({Words(end)}). Try `{options.AgentFile} meta-data`.");
            if (new FileInfo(file).Length > MetadataBytesMax)
                throw new DriverFailedException($"Cannot use {options.Agent}: its meta-data has more than {MetadataBytesMax / 1_000_000} MB. Is it an agent?");
            (_metadata, _metadataOf) = (OcfMetadata.Parse(await File.ReadAllTextAsync(file, cancellationToken).ConfigureAwait(false), options.Agent), written);
            return _metadata;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Makes the folder that agents keep their state in: Debian makes it at boot, a container does not.</summary>
    public static void MakeRunFolder()
    {
        try
        {
            Directory.CreateDirectory(RunFolder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // An agent that needs it says so; not all do.
        }
    }

    private string NotThere => $"there is no {options.AgentFile}. Install the package that brings it (Debian: resource-agents), or correct `agent`.";

    private static string Words(GuardedRunEnd end) => end switch
    {
        GuardedRunEnd.Ended ended => ended.Exit.Sentence,
        GuardedRunEnd.TimedOut => $"no end within {MetadataLimit.TotalSeconds:0} s",
        GuardedRunEnd.NotRun not => not.Reason,
        _ => "",
    };

    private static GuardSpec Describe(IReadOnlyList<string> command, IReadOnlyList<string> environment) => new()
    {
        Command = command, Environment = environment, IsScript = true, KillTimeoutMicros = 500_000, WorkingDirectory = "/",
    };

    // OCF resource agent API, "environment variables", and what agents of resource-agents read of Pacemaker's.
    private IReadOnlyList<string> EnvironmentOf(string action, Trigger why, string? machine, TimeSpan limit, TimeSpan interval)
    {
        static string Milliseconds(TimeSpan time) => ((long)time.TotalMilliseconds).ToString(CultureInfo.InvariantCulture);
        var ours = new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["OCF_ROOT"] = options.Root,
            ["OCF_RA_VERSION_MAJOR"] = "1",
            ["OCF_RA_VERSION_MINOR"] = "1",
            ["OCF_RESOURCE_INSTANCE"] = options.EffectiveName,
            ["OCF_RESOURCE_PROVIDER"] = options.Agent.Provider,
            ["OCF_RESOURCE_TYPE"] = options.Agent.Type,
            ["OCF_CHECK_LEVEL"] = options.CheckLevel.ToString(CultureInfo.InvariantCulture),
            ["OCF_RESKEY_CRM_meta_name"] = action,
            ["OCF_RESKEY_CRM_meta_timeout"] = Milliseconds(limit),
            ["OCF_RESKEY_CRM_meta_interval"] = Milliseconds(interval), // 0: a probe
            ["PATH"] = PathWithSystem(Environment.GetEnvironmentVariable("PATH")),
        };
        foreach (var (name, value) in options.Parameters) ours[$"OCF_RESKEY_{name}"] = value;
        return AppEnvironment.For(why, machine, ours);
    }

    // Agents call `ip`, `mount` and the like by name, and a service's PATH may lack where they are.
    private static string PathWithSystem(string? path)
    {
        var folders = (path ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries).ToList();
        folders.AddRange(((string[])["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"]).Where(folder => !folders.Contains(folder)));
        return string.Join(':', folders);
    }
}
