using System.Collections.Concurrent;
using Clustd.Client;
using Clustd.Client.Protocol;
using Clustd.Client.Running;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Client;

public sealed class ServiceTriggersTests : IServiceHost, IDisposable
{
    private readonly ServiceTriggers _triggers;
    private readonly ConcurrentQueue<Trigger> _ran = new();
    private readonly SemaphoreSlim _leaseWanted = new(0);
    private volatile bool _holdsLease;

    public ServiceTriggersTests() => _triggers = new ServiceTriggers("web", this);

    long IServiceHost.NowUs => DriverClock.NowUs;

    // Found by the simulator as two masters (seed 3854): the old daemon's order waits for a lease, the new daemon hears "nothing runs" and gives one.
    [Fact]
    public async Task A_start_that_waits_for_a_lease_is_forgotten_with_its_connection()
    {
        var answer = new TaskCompletionSource<RpcError?>();
        _triggers.Tell(Start(token: 7), error => answer.TrySetResult(error));
        (await _leaseWanted.WaitAsync(TimeSpan.FromSeconds(30))).ShouldBeTrue();

        _triggers.ConnectionLost();
        _triggers.State.ShouldBeNull(); // what the next registration says
        _holdsLease = true;
        _triggers.LeaseChanged();

        (await answer.Task.WaitAsync(TimeSpan.FromSeconds(30))).ShouldNotBeNull().Code.ShouldBe(DriverErrorCodes.TriggerCancelled);
        _ran.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_start_that_has_begun_goes_on_without_its_connection()
    {
        _holdsLease = true;
        var answer = new TaskCompletionSource<RpcError?>();
        _triggers.Tell(Start(token: 7), error => answer.TrySetResult(error));
        await answer.Task.WaitAsync(TimeSpan.FromSeconds(30));

        _triggers.ConnectionLost();

        _triggers.State.ShouldNotBeNull().IsMaster.ShouldBeTrue();
        _triggers.Running.ShouldBe(7);
    }

    public void Dispose() => _triggers.End();

    void IServiceHost.Run(Trigger trigger, CancellationToken cancellationToken) => _ran.Enqueue(trigger);

    bool IServiceHost.HoldsLease(long nowUs) => _holdsLease;

    long IServiceHost.LeaseEndsAtUs => _holdsLease ? long.MaxValue : long.MinValue;

    void IServiceHost.LeaseWanted() => _leaseWanted.Release();

    void IServiceHost.DeadlinesChanged()
    {
    }

    void IServiceHost.Log(DriverLogLevel level, string text)
    {
    }

    private static TriggerParams Start(long token) =>
        new() { Service = "web", IsMaster = true, Token = token, Reason = "test", Sequence = 1, LimitUs = 60_000_000, Kill = false };
}
