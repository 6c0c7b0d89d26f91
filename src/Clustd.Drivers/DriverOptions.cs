using Clustd.Client;
using Clustd.Drivers.Processes;

namespace Clustd.Drivers;

/// <summary>What all built-in drivers have in common; each has a record of its own that adds to it.</summary>
public abstract record DriverOptions
{
    /// <summary>The word in the file: "shell".</summary>
    public abstract string Kind { get; }

    /// <summary>True: what it started is known to be gone at the deadline (promise P2). False: best effort.</summary>
    public abstract bool StopsForCertain { get; }

    /// <summary>One active instance per machine and name. Null: kind and service, for example <c>shell-web</c>.</summary>
    public string? Name { get; init; }

    public string EffectiveName => Name ?? (Service is null ? Kind : $"{Kind}-{Service}");

    /// <summary>The service to be triggered for; null: the cluster's default service.</summary>
    public string? Service { get; init; }

    /// <summary>Drivers of a service start in ascending order and stop in descending order.</summary>
    public int Order { get; init; }

    /// <summary>Whether its failure fails the promotion. Drivers in the file do.</summary>
    public bool Required { get; init; } = true;

    /// <summary>How long a planned stop needs; null: what the service allows.</summary>
    public TimeSpan? StopTimeout { get; init; }

    /// <summary>How long a stop after the end of the lease needs; null: what the service allows.</summary>
    public TimeSpan? KillTimeout { get; init; }

    /// <summary>Ids of machines that it can fence.</summary>
    public virtual IReadOnlyList<string> Fences => [];

    /// <summary>What <see cref="object.ToString"/> does not show, secrets and the items of lists: for telling whether two are the same. Never printed.</summary>
    public virtual IEnumerable<string> Unprinted => [];
}

/// <summary>Where a built-in driver lives: whom it talks to, and what it logs to.</summary>
public sealed record DriverHost
{
    /// <summary>Address of the daemon, for example <c>127.0.0.1:3001</c>.</summary>
    public required string Address { get; init; }

    /// <summary>The cluster's secret or a driver's own token.</summary>
    public required string Secret { get; init; }

    /// <summary>How to start a guard.</summary>
    public GuardCommand Guard { get; init; } = GuardCommand.OfThisProgram();

    /// <summary>Takes one line; it is called from any thread and must not block for long.</summary>
    public Action<DriverLogLevel, string> Log { get; init; } = (_, _) => { };

    /// <summary>Where a driver may keep a note over a restart of its process. Null: nowhere.</summary>
    public string? DataDirectory { get; init; }

    /// <summary>How this driver presents itself.</summary>
    public DriverClient ClientOf(DriverOptions options) => new()
    {
        Secret = Secret,
        Name = options.EffectiveName,
        Id = options.EffectiveName,
        Services = options.Service is null ? [] : [options.Service],
        Order = options.Order,
        Required = options.Required,
        Fences = options.Fences,
        // Never `Certain`, which would end this process: all built-in drivers share it, and one that is late must not take the others with it.
        Stop = options.StopsForCertain ? StopGuarantee.CertainByGuard : StopGuarantee.BestEffort,
        StopTimeout = options.StopTimeout,
        KillTimeout = options.KillTimeout,
    };

}
