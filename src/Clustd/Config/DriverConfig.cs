using System.Text;

namespace Clustd.Config;

/// <summary>A built-in driver of this machine. One sealed record per kind; the loader lists those that can be written in a file.</summary>
public abstract record DriverConfig
{
    /// <summary>The word in the file: "shell".</summary>
    public abstract string Kind { get; }

    public string Service { get; init; } = ServiceConfig.DefaultName;

    /// <summary>Unique on this machine; "{service}-{kind}" unless the file says otherwise.</summary>
    public required string Name { get; init; }

    /// <summary>Ascending at promotion, descending at demotion.</summary>
    public int Order { get; init; }

    /// <summary>A required driver can fail a promotion and makes its machine ineligible while it is not connected.</summary>
    public bool Required { get; init; } = true;

    /// <summary>What the driver says it needs of the service's stop_timeout. Null: whatever the service gives.</summary>
    public TimeSpan? StopTimeout { get; init; }

    /// <summary>What the driver says it needs of the service's kill_timeout. Null: whatever the service gives.</summary>
    public TimeSpan? KillTimeout { get; init; }

    /// <summary>True: what it started is known to be gone at the deadline (promise P2). False: best effort.</summary>
    public abstract bool StopsForCertain { get; }
}

/// <summary>Runs a supervised process (<see cref="Run"/>), or a script at each change (<see cref="Start"/>, <see cref="Stop"/>). Never both.</summary>
public sealed record ShellDriverConfig : DriverConfig
{
    public override string Kind => "shell";
    public override bool StopsForCertain => Run is not null;

    public string? Run { get; init; }
    public string? Start { get; init; }
    public string? Stop { get; init; }

    /// <summary>As written: relative to the working directory of `clustd drivers`, as in 2018. Null: that directory.</summary>
    public string? Cwd { get; init; }

    /// <summary>Added to the environment, in the order of the file.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Env { get; init; } = [];

    public string Shell { get; init; } = ConfigKeys.Shell.Default!;

    /// <summary>User to run as. Null: the user of `clustd drivers`.</summary>
    public string? User { get; init; }
}

/// <summary>A driver file: what `clustd drivers --config FILE` connects to and runs. The 2018 files have this shape.</summary>
public sealed record DriverFileConfig
{
    /// <summary>The local daemon, "ws://127.0.0.1:3001".</summary>
    public required Uri Host { get; init; }

    public required string Secret { get; init; }
    public IReadOnlyList<DriverConfig> Drivers { get; init; } = [];

    /// <summary>Full path of the file that this came from. Null: it came from text.</summary>
    public string? Path { get; init; }

    // A record prints its members; a secret must not reach a log that way.
    private bool PrintMembers(StringBuilder text)
    {
        text.Append($"Host = {Host}, Drivers = [{string.Join(", ", Drivers.Select(d => d.Name))}], Secret = (hidden)");
        return true;
    }
}
