using Clustd.Config;
using Shouldly;
using Xunit;
using static Clustd.Tests.Config.ConfigTestWorld;

namespace Clustd.Tests.Config;

/// <summary>`watchdog` in a file.</summary>
public sealed class WatchdogConfigTests
{
    [Fact]
    public void Without_it_none_is_used() => Valid(File()).Watchdog.ShouldBeNull();

    [Theory]
    [InlineData("", "{}", "/dev/watchdog", 1)] // lease 2s, kill_timeout 500ms
    [InlineData("", "{ device: /dev/watchdog1, timeout: 1s }", "/dev/watchdog1", 1)]
    [InlineData("lease: 5s", "{}", "/dev/watchdog", 1)] // of 500ms, half is left
    public void The_timeout_is_the_longest_that_fits(string cluster, string watchdog, string device, int seconds) =>
        Valid(File(cluster, $"watchdog: {watchdog}")).Watchdog.ShouldBe(new WatchdogConfig(device, TimeSpan.FromSeconds(seconds)));

    // Wrong program: asks the first service only, or the longest kill_timeout.
    [Fact]
    public void The_shortest_kill_timeout_of_the_file_counts()
    {
        Valid(File("lease: 5s", "services: { a: { kill_timeout: 10s }, b: { kill_timeout: 3s } }\nwatchdog: {}")).Watchdog!.Timeout.ShouldBe(TimeSpan.FromSeconds(6));
        var error = Read(File("lease: 5s", "services: { a: { kill_timeout: 10s }, b: { kill_timeout: 3s } }\nwatchdog: { timeout: 7s }")).Errors.ShouldHaveSingleItem();
        error.ToString().ShouldEndWith("'watchdog.timeout' is too long: after 7s the machine would be reset too late for service 'b', whose kill_timeout is 3s (lease 5s). Choose at most 6s, or raise kill_timeout to 4s or more.");
    }

    [Fact]
    public void Where_none_fits_that_is_said() =>
        Read(File("lease: 200ms", "watchdog: {}")).Errors.ShouldHaveSingleItem().ToString()
            .ShouldEndWith("'watchdog' does not fit the services: after 1s, the least that a watchdog counts, the machine would be reset too late for service 'default', whose kill_timeout is 500ms (lease 200ms). Raise kill_timeout to 975ms or more.");

    [Theory]
    [InlineData("{ timeout: 1.5s }", "'watchdog.timeout' is no whole number of seconds")]
    [InlineData("{ timeout: 500ms }", "'watchdog.timeout' is out of range")]
    [InlineData("{ device: watchdog }", "'watchdog.device' is no full path")]
    [InlineData("{ devise: /dev/watchdog }", "Unknown key 'devise'")]
    [InlineData("/dev/watchdog", "'watchdog' is a single value")]
    public void What_cannot_be_is_said(string watchdog, string what) => Read(File(rest: $"watchdog: {watchdog}")).Errors.ShouldHaveSingleItem().What.ShouldStartWith(what);

    // Wrong program: says nothing, and an app that ignores TERM takes the machine with it.
    [Fact]
    public void A_driver_that_would_kill_later_than_the_watchdog_is_a_warning()
    {
        string Text(string rest) => File("lease: 5s", $"services: {{ web: {{ kill_timeout: 5s }} }}\ndrivers: [ shell: {{ service: web, run: ./web{rest} }} ]\nwatchdog: {{ timeout: 4s }}");
        Read(Text("")).Warnings.ShouldContain(warning => warning.ToString().EndsWith(
            "What web-shell must kill when a lease is over may be killed by the watchdog first, with the machine: it resets the machine up to 900ms before the kill_timeout of service 'web' is over. Set `kill_timeout: 4.1s` for the driver, or raise that of the service."));
        Read(Text(", kill_timeout: 4.1s")).Warnings.ShouldNotContain(warning => warning.What.Contains("watchdog"));
    }

    [Fact]
    public void Among_the_drivers_it_is_told_where_it_belongs() =>
        Read(File(rest: "drivers: [ watchdog: { device: /dev/watchdog } ]")).Errors.ShouldHaveSingleItem().ToString()
            .ShouldEndWith("'watchdog' is no driver of a service: it is the machine's, and the daemon itself feeds it. Move it to the top of the file: `watchdog: { device: /dev/watchdog }`.");

    [Fact]
    public void The_environment_can_set_it() =>
        Valid(File(), Machine(environment: ("CLUSTD__WATCHDOG__DEVICE", "/dev/watchdog1"))).Watchdog!.Device.ShouldBe("/dev/watchdog1");

    // Wrong program: two machines of which one has a watchdog do not form a cluster.
    [Fact]
    public void It_is_no_business_of_the_other_machines()
    {
        var (without, with) = (Valid(File()), Valid(File(rest: "watchdog: {}")));
        (with.ClusterHash, with.ServicesHash).ShouldBe((without.ClusterHash, without.ServicesHash));
    }

    [Fact]
    public void Check_says_what_it_does() =>
        FailoverBound.Sentences(Valid(File(rest: "watchdog: {}"))).ShouldContain("The watchdog /dev/watchdog resets this machine 1s after its daemon's last decision, and before anything runs here longer than lease and kill_timeout.");
}
