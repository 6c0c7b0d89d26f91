namespace Clustd.Client;

/// <summary>What a driver promises about its stops. Promise P2 (masters never overlap) holds for services whose drivers all stop for certain.</summary>
public enum StopGuarantee
{
    /// <summary>
    /// Once the lease is over and <c>kill_timeout</c> has passed, nothing of this driver is running. A driver in this SDK keeps the
    /// promise by ending its own process at that deadline, see <see cref="DriverClient.EndProcessAtDeadline"/>.
    /// </summary>
    Certain,

    /// <summary>The driver tries to stop and cannot promise more: a stop script, a DNS change, a webhook.</summary>
    BestEffort,
}
