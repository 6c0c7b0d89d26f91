using Clustd.Drivers;
using Clustd.Drivers.Shell;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Drivers;

public sealed class RestartPolicyTests
{
    private const long Second = 1_000_000;
    private readonly RestartPolicy _policy = new();

    [Fact]
    public void Three_restarts_within_a_minute_then_another_machine()
    {
        _policy.Ended(0, "exit code 1").ShouldBeOfType<RestartDecision.Restart>().Reason.ShouldBe("ended by itself (exit code 1): restart 1 of 3 within 60 s");
        _policy.Ended(Second, "exit code 1").ShouldBeOfType<RestartDecision.Restart>();
        _policy.Ended(2 * Second, "exit code 1").ShouldBeOfType<RestartDecision.Restart>();
        _policy.Ended(3 * Second, "exit code 1").ShouldBeOfType<RestartDecision.GiveUp>().Reason.ShouldContain("3 times within 60 s");
    }

    [Fact]
    public void An_app_that_crashes_now_and_then_is_restarted_for_ever()
    {
        for (int i = 0; i < 100; i++) _policy.Ended(i * 20 * Second, "exit code 1").ShouldBeOfType<RestartDecision.Restart>();
    }

    [Fact]
    public void Each_restart_in_a_row_waits_twice_as_long()
    {
        Delay(0).ShouldBe(100);
        Delay(1).ShouldBe(200);
        Delay(2).ShouldBe(400);
    }

    private double Delay(long at) => ((RestartDecision.Restart)_policy.Ended(at, "exit code 1")).Delay.TotalMilliseconds;
}
