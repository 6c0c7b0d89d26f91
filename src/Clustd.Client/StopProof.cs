using Clustd.Client.Connection;
using Clustd.Client.Protocol;

namespace Clustd.Client;

/// <summary>Tells the daemon that something has stopped for certain, without being a registered driver: what a guard process does when its driver is gone.</summary>
public static class StopProof
{
    /// <summary>Connects, authenticates, sends <paramref name="proof"/> and returns when the daemon has taken it. One attempt: the caller knows how long it may try.</summary>
    /// <exception cref="DriverRefusedException">The secrets differ, or the daemon refuses the proof.</exception>
    /// <exception cref="IOException">The daemon could not be reached.</exception>
    public static void Send(string host, string secret, StoppedParams proof)
    {
        var address = DaemonAddress.Parse(host);
        using var link = DaemonLink.Open(address, secret, proof.Name);
        RpcMessage answer;
        try
        {
            answer = link.Call(DriverMethods.Stopped, proof, ProtocolJson.Default.StoppedParams);
        }
        catch (Exception e) when (DaemonLink.IsConnectionFault(e))
        {
            throw new IOException($"Cannot tell the daemon at {address} that '{proof.Service}' has stopped: {DaemonLink.Reason(e)}. Try again.", e);
        }
        if (answer.Error is { } error)
            throw new DriverRefusedException($"The daemon at {address} refused the proof that '{proof.Service}' has stopped: {error.Message}");
    }

    /// <summary>As <see cref="Send"/>, on a thread of its own.</summary>
    public static Task SendAsync(string host, string secret, StoppedParams proof, CancellationToken cancellationToken) =>
        Task.Factory.StartNew(() => Send(host, secret, proof), cancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default).WaitAsync(cancellationToken);
}
