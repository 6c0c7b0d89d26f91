using System.Runtime.CompilerServices;
using Clustd.Client;
using Clustd.Client.Testing;
using Clustd.Drivers;
using Microsoft.Extensions.Time.Testing;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Drivers;

/// <summary>What all drivers that keep a state have in common, with a state that is one flag.</summary>
public sealed class StateDriverTests : IAsyncDisposable
{
    private static readonly TimeSpan Every = TimeSpan.FromSeconds(5);

    private readonly FakeDaemon _daemon = FakeDaemon.Start();
    private readonly FakeTimeProvider _time = new();
    private readonly Flag _flag;

    public StateDriverTests()
    {
        var host = new DriverHost { Address = new Uri(_daemon.Url).Authority, Secret = _daemon.Options.Secret };
        _flag = new Flag(host, new StateDriverTerms { LookEvery = Every, Time = _time });
    }

    public async ValueTask DisposeAsync()
    {
        _flag.Look = _ => Task.CompletedTask;
        await _flag.DisposeAsync();
        await _flag.EndWatchAsync();
        await _daemon.DisposeAsync();
    }

    [Fact] // Wrong program: acts at triggers only, so that an address that somebody removed stays away.
    public async Task What_somebody_else_has_changed_is_made_again_and_told()
    {
        await MasterAsync();
        _flag.IsSet = false;

        await LookUntilAsync(() => _flag.IsSet);
        (await _daemon.HeardAsync("health")).Parameters.ToString().ShouldNotBeNull().ShouldContain("the flag is down");
        await LookUntilAsync(() => _daemon.Calls.Count(call => call.Method == "health") >= 2);
        (await _daemon.HeardAsync("health", after: 1)).Parameters.ToString().ShouldNotBeNull().ShouldContain("\"ok\":true");
    }

    [Fact] // Wrong program: looks after the state of masters only; a flag that somebody sets on a standby stays.
    public async Task What_is_not_to_be_here_is_undone_again()
    {
        await MasterAsync();
        await _daemon.DemoteAsync();
        _flag.IsSet = true;
        await LookUntilAsync(() => !_flag.IsSet);
    }

    [Fact] // Two masters. Wrong program: mends what its own stop at the end of the lease has undone, or somebody in time.
    public async Task Nothing_is_made_again_without_a_lease()
    {
        await MasterAsync();
        _flag.StopFails = true;
        await _daemon.KillAsync().ShouldThrowAsync<Exception>();
        _flag.IsSet = false;

        await LookedAsync(3);
        _flag.IsSet.ShouldBeFalse();
    }

    [Fact] // Wrong program: a stop waits for a look that waits for a server.
    public async Task A_look_that_takes_long_is_given_up_for_a_stop()
    {
        await MasterAsync();
        _flag.Look = token => Task.Delay(Timeout.InfiniteTimeSpan, token);
        await LookUntilAsync(() => _flag.IsLooking);

        await _daemon.DemoteAsync();
        _flag.IsSet.ShouldBeFalse();
    }

    [Fact] // A process that was frozen. Wrong program: gives the stop up at once because its deadline has passed, and the flag stays up.
    public async Task A_stop_that_comes_too_late_is_done_all_the_same()
    {
        await MasterAsync();
        _flag.StopTakes = TimeSpan.FromMilliseconds(20);
        _daemon.Grants = false;
        _daemon.Advance(TimeSpan.FromMinutes(1));
        await LookUntilAsync(() => !_flag.IsSet);
    }

    [Fact] // Wrong program: shows a state that it cannot see or mend for ever, instead of letting another machine try.
    public async Task A_state_that_cannot_be_mended_is_a_failure()
    {
        await MasterAsync();
        _flag.IsSet = false;
        _flag.StartFails = true;
        await LookUntilAsync(() => _daemon.Failures.Count > 0);
        _daemon.Failures[0].Reason.ShouldContain("The mast is broken");
        _flag.Made.ShouldBeGreaterThanOrEqualTo(4); // The start, and three looks.
    }

    private async Task MasterAsync()
    {
        await _flag.ConnectAsync(TestContext.Current.CancellationToken);
        await _daemon.PromoteAsync();
        _flag.IsSet.ShouldBeTrue();
    }

    private Task LookedAsync(int times)
    {
        int before = _flag.Looks;
        return Task.WhenAny(LookUntilAsync(() => _flag.Looks >= before + times), Task.Delay(TimeSpan.FromMilliseconds(300)));
    }

    // The watch waits on the fake clock; whether it does yet, nobody can tell: the clock is moved until it has looked.
    private async Task LookUntilAsync(Func<bool> isSo)
    {
        var deadline = DateTime.UtcNow.AddSeconds(60);
        while (!isSo())
        {
            (DateTime.UtcNow < deadline).ShouldBeTrue("It did not come to that within 60 s.");
            _time.Advance(Every);
            await Task.Delay(5, TestContext.Current.CancellationToken);
        }
    }

    private sealed class Flag(DriverHost host, StateDriverTerms terms) : StateDriver(new FlagOptions { Name = "flag" }, host, terms)
    {
        public volatile bool IsSet, IsLooking, StartFails, StopFails;
        public volatile int Looks, Made;

        public TimeSpan StopTakes { get; set; } = TimeSpan.Zero;

        public Func<CancellationToken, Task> Look { get; set; } = _ => Task.CompletedTask;

        protected override string What => "the flag";

        protected override Task MakeAsync(Trigger trigger, CancellationToken cancellationToken)
        {
            Interlocked.Increment(ref Made);
            if (StartFails) throw new DriverFailedException("The mast is broken: the flag stays down. Mend it.");
            IsSet = true;
            return Task.CompletedTask;
        }

        protected override async Task UnmakeAsync(Trigger trigger, CancellationToken cancellationToken)
        {
            await Task.Delay(StopTakes, cancellationToken);
            if (StopFails) throw new DriverFailedException("The line is stuck: the flag may still be up. Cut it.");
            IsSet = false;
        }

        protected override async Task<string?> FindDriftAsync(Trigger made, CancellationToken cancellationToken)
        {
            IsLooking = true;
            await Look(cancellationToken);
            Interlocked.Increment(ref Looks);
            return IsSet == made.IsMaster ? null : IsSet ? "the flag is up." : "the flag is down.";
        }

        public override async IAsyncEnumerable<DriverFinding> TestAsync([EnumeratorCancellation] CancellationToken cancellationToken)
        {
            await Task.CompletedTask;
            yield break;
        }
    }

    private sealed record FlagOptions : DriverOptions
    {
        public override string Kind => "flag";
        public override bool StopsForCertain => false;
    }
}
