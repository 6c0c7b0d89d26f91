namespace Clustd.Client;

/// <summary>What a driver promises about its stops. Promise P2 (masters never overlap) holds for services whose drivers all stop for certain.</summary>
public enum StopGuarantee
{
    /// <summary>
    /// Once the lease is over and <c>kill_timeout</c> has passed, nothing of this driver is running. A driver in this SDK keeps the
    /// promise by ending its own process (SIGKILL) when a stop has not returned shortly before that deadline. Child processes are not covered.
    /// </summary>
    Certain,

    /// <summary>
    /// The driver tries to stop and cannot promise more: a stop script, a DNS change, a webhook; or a process that must not be ended. The
    /// daemon is told so, and <c>clustd status</c> names the services that depend on it.
    /// </summary>
    BestEffort,

    /// <summary>
    /// As <see cref="Certain"/>, but something outside of this process keeps the promise, by a timer of its own: a guard that kills what the driver started.
    /// The SDK does not end the process. To claim this without such a guard is to let two masters run.
    /// </summary>
    CertainByGuard,
}
