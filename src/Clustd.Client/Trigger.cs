using System.Diagnostics.CodeAnalysis;

namespace Clustd.Client;

/// <summary>What the daemon tells a driver: start acting for a service (master), or stop.</summary>
/// <param name="Service">The service it is about.</param>
/// <param name="IsMaster">True: this machine is now the master, start. False: stop, and return only when it has stopped.</param>
/// <param name="Token">
/// Fencing token of the grant: grows with every grant and is never reused. Hand it to the resources you write to, so that they can refuse
/// an older one. For a stop: the token of what is to be stopped.
/// </param>
/// <param name="Reason">Why, as a sentence.</param>
/// <param name="Limit">How long the daemon waits for this call.</param>
/// <param name="Kill">The lease is over: stop at once. What still runs after <paramref name="Limit"/> is killed.</param>
public sealed record Trigger(
    string Service, [property: MemberNotNullWhen(true, nameof(Lease))] bool IsMaster, long Token, string Reason, TimeSpan Limit, bool Kill)
{
    /// <summary>
    /// Of a start: what it is granted, see <see cref="Clustd.Client.Lease"/>. Of a stop: what is to be stopped was started under it; null if nothing was started.
    /// </summary>
    public Lease? Lease { get; init; }

    /// <summary>
    /// Of a start: ids of machines that were lost while they ran the service, or could not stop it, and are not confirmed to be off. For drivers that fence
    /// (<see cref="DriverClient.Fences"/>): return only when those that you fence are off for certain. Empty unless the service requires fencing.
    /// </summary>
    public IReadOnlyList<string> TakesOverFrom { get; init; } = [];
}
