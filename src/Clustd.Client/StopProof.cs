using Clustd.Client.Protocol;

namespace Clustd.Client;

/// <summary>Tells the daemon that something has stopped for certain, without being a registered driver: what a guard process does when its driver is gone.</summary>
public static class StopProof
{
    /// <summary>Connects, authenticates, sends <paramref name="proof"/> and returns when the daemon has taken it.</summary>
    public static Task SendAsync(string host, string secret, StoppedParams proof, CancellationToken cancellationToken) => Task.FromCanceled(new CancellationToken(true));
}
