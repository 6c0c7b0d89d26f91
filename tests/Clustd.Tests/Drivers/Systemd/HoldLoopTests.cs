using System.Diagnostics;
using System.Text.Json;
using Clustd.Drivers.Holding;
using Clustd.Drivers.Processes;
using Shouldly;
using Xunit;
using static Clustd.Tests.Drivers.Scratch;

namespace Clustd.Tests.Drivers.Systemd;

/// <summary>The guard of units by itself, with the test as its driver: a process that can be killed at any moment.</summary>
[Collection("processes")]
public sealed class HoldLoopTests(RealSystemd systemd) : IClassFixture<RealSystemd>, IAsyncLifetime
{
    public ValueTask InitializeAsync()
    {
        Assert.SkipWhen(systemd.WhyNot is not null, systemd.WhyNot ?? "");
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync() => await systemd.StopAllAsync();

    [Theory] // Two masters. Wrong program: the unit outlives its driver process; or systemd's Restart= brings back what was killed.
    [InlineData("web.service")]
    [InlineData("always.service")]
    [InlineData("stubborn.service")]
    public async Task When_the_driver_dies_its_unit_is_stopped(string unit)
    {
        var cgroup = await StartAsync(unit);
        using var guard = Guard(unit, Now + 60 * Second, cgroup);
        long died = Now;
        guard.StandardInput.Close();
        (await guard.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken)).ShouldEndWith("stopped\n");
        (Now - died).ShouldBeLessThan(4 * Second);
        cgroup.IsEmpty.ShouldBeTrue();
        await Task.Delay(200); // longer than RestartSec
        (await systemd.LookAsync(unit)).IsStopped.ShouldBeTrue();
    }

    [Fact] // Two masters. Wrong program: needs the driver, who is frozen here, or the bus, which is frozen as well.
    public async Task At_the_end_of_the_lease_it_kills_without_driver_and_bus()
    {
        var cgroup = await StartAsync("web.service");
        long end = Now + Second;
        using var guard = Guard("web.service", end, cgroup);
        Signal(systemd.BusPid, 19);
        try
        {
            await Eventually(() => cgroup.IsEmpty, "the end of the unit");
            Now.ShouldBeInRange(end, end + Second / 2 + 2 * Second);
        }
        finally
        {
            Signal(systemd.BusPid, LinuxCalls.SIGCONT);
        }
        (await guard.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken)).ShouldContain("ending the lease is over");
    }

    [Fact] // Wrong program: a lease that was renewed ends at its first end.
    public async Task It_holds_as_long_as_the_lease_is_renewed()
    {
        var cgroup = await StartAsync("web.service");
        long first = Now + 2 * Second;
        using var guard = Guard("web.service", first, cgroup);
        await guard.StandardInput.WriteAsync($"lease {first + 3 * Second}\n");
        await guard.StandardInput.FlushAsync(TestContext.Current.CancellationToken);
        await Eventually(() => Now > first + Second, "the first lease to be long over");
        cgroup.IsEmpty.ShouldBeFalse();
        (await guard.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken)).ShouldEndWith("stopped\n");
        cgroup.IsEmpty.ShouldBeTrue();
    }

    private async Task<Cgroup> StartAsync(string unit)
    {
        await systemd.SomebodyAsync(bus => bus.StartAsync(unit, default));
        return Cgroup.Named((await systemd.LookAsync(unit)).ControlGroup).ShouldNotBeNull();
    }

    private Process Guard(string unit, long leaseEnd, Cgroup cgroup)
    {
        var guard = Process.Start(new ProcessStartInfo(GuardProgram.File, GuardProgram.Arguments) { RedirectStandardInput = true, RedirectStandardOutput = true })!;
        var spec = new GuardSpec
        {
            Command = [], Environment = [], KillTimeoutMicros = Second / 2, LeaseEnd = leaseEnd, Holds = new HoldSpec { What = unit, Units = [unit], Bus = systemd.Bus },
        };
        guard.StandardInput.Write(JsonSerializer.Serialize(spec, GuardSpecJson.Default.GuardSpec) + "\n");
        guard.StandardInput.Write($"hold {cgroup.Directory}\n");
        guard.StandardInput.Flush();
        guard.StandardOutput.ReadLine().ShouldBe($"started {guard.Id}");
        return guard;
    }
}
