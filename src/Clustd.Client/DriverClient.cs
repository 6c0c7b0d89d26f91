using System.Security.Cryptography;
using System.Text;

namespace Clustd.Client;

/// <summary>How a driver presents itself to the daemon.</summary>
public sealed record DriverClient
{
    /// <summary>The cluster's secret. It is proven, never sent.</summary>
    public required string Secret { get; init; }

    /// <summary>Shown in <c>clustd status</c> and in logs. Default: process name and eight hex digits, for example <c>web-1f0c22ab</c>.</summary>
    public string Id { get; init; } = $"{ProcessName}-{NewSuffix()}";

    /// <summary>
    /// The daemon lets one instance per machine and name be active. Default (null): <see cref="Id"/>, without the random suffix if it is the default one.
    /// </summary>
    public string? Name { get; init; }

    /// <summary>The services to be triggered for; empty means the cluster's default service.</summary>
    public IReadOnlyList<string> Services { get; init; } = [];

    /// <summary>Drivers of a service start in ascending order, and stop in descending order.</summary>
    public int Order { get; init; }

    /// <summary>Said for people to see. What makes a driver required is the machine's own file, or the service that names it: an experiment cannot move production.</summary>
    public bool Required { get; init; }

    /// <summary>
    /// What this driver promises about its stops. By default that it has stopped for certain: the SDK ends this process when a stop has not returned shortly
    /// before the deadline, lease end plus <c>kill_timeout</c>. A process that must not be ended says <see cref="StopGuarantee.BestEffort"/>.
    /// </summary>
    public StopGuarantee Stop { get; init; } = StopGuarantee.Certain;

    /// <summary>How long a planned stop of this driver may take; null: what the service allows. The daemon refuses a driver that needs more than the service allows.</summary>
    public TimeSpan? StopTimeout { get; init; }

    /// <summary>How long this driver needs to stop when its lease is over; null: what the service allows. The daemon refuses a driver that needs more.</summary>
    public TimeSpan? KillTimeout { get; init; }

    /// <summary>
    /// Ids of machines that this driver can fence: turn off, and confirm that. Where a service requires fencing, its start comes before those of all other
    /// drivers, and <see cref="Trigger.TakesOverFrom"/> names those that must be off before it returns.
    /// </summary>
    public IReadOnlyList<string> Fences { get; init; } = [];

    /// <summary>
    /// The clock that the lease is counted on; null: <see cref="DriverClock"/>. For tests. Only its timestamps are used; another one for production must count the
    /// time that the machine sleeps, must not be set or slewed, and must run right within 1 %.
    /// </summary>
    public TimeProvider? TimeProvider { get; init; }

    /// <summary>
    /// What ends the process at the deadline of a stop; gets the reason. Null: a line to stderr and SIGKILL. For tests, which must survive it: one that returns
    /// and leaves the process running breaks the promise of <see cref="StopGuarantee.Certain"/>.
    /// </summary>
    public Action<string>? EndProcess { get; init; }

    /// <summary>The name that the daemon is told.</summary>
    internal string EffectiveName => Name ?? (Id.StartsWith(ProcessName + "-", StringComparison.Ordinal) && Id.Length == ProcessName.Length + 9 ? ProcessName : Id);

    // Records print all their members by default: a driver that logs its client must not log the secret.
    private bool PrintMembers(StringBuilder builder)
    {
        builder.Append($"Id = {Id}, Name = {EffectiveName}, Services = [{string.Join(", ", Services)}], Order = {Order}, Required = {Required}, Stop = {Stop}");
        return true;
    }

    // Eight hex digits: enough that two copies of one program on one machine are told apart in logs.
    private static string NewSuffix() => Convert.ToHexString(RandomNumberGenerator.GetBytes(4)).ToLowerInvariant();

    private static string ProcessName { get; } = Path.GetFileNameWithoutExtension(Environment.ProcessPath) is { Length: > 0 } name ? name : "driver";
}
