using Clustd.Client.Testing;
using Clustd.Drivers;
using Clustd.Drivers.Systemd;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Drivers.Systemd;

/// <summary>What people are told when systemd refuses, fails or hangs: by a real bus, with a systemd that does so on it.</summary>
[Collection("processes")]
public sealed class SystemdErrorsTests : IAsyncLifetime
{
    private readonly FakeDaemon _daemon = FakeDaemon.Start();
    private readonly string _folder = Directory.CreateTempSubdirectory("clustd-bus-").FullName;
    private PrivateBus? _bus;
    private FakeSystemd? _systemd;
    private SystemdDriver? _driver;

    public async ValueTask InitializeAsync()
    {
        Assert.SkipWhen(PrivateBus.WhyNot is not null, PrivateBus.WhyNot ?? "");
        _bus = await PrivateBus.StartAsync(_folder);
        _systemd = await FakeSystemd.StartAsync(_bus);
    }

    public async ValueTask DisposeAsync()
    {
        if (_driver is not null)
        {
            await _driver.DisposeAsync();
            await _driver.EndWatchAsync();
        }
        await _daemon.DisposeAsync();
        _systemd?.Dispose();
        _bus?.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Theory]
    [InlineData("org.freedesktop.DBus.Error.AccessDenied", "org.freedesktop.systemd1.manage-units")]
    [InlineData("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", "org.freedesktop.systemd1.manage-units")]
    [InlineData("org.freedesktop.systemd1.UnitMasked", "`systemctl unmask web.service`")]
    [InlineData("org.freedesktop.systemd1.TransactionIsDestructive", "`systemctl list-jobs`")]
    [InlineData("org.freedesktop.systemd1.Surprise", "(org.freedesktop.systemd1.Surprise)")]
    public async Task A_start_that_is_refused_fails_with_the_reason_and_what_to_do(string error, string says)
    {
        await ConnectAsync();
        _systemd!.Error = error;
        (await _daemon.PromoteAsync().ShouldThrowAsync<TriggerFailedException>()).Message.ShouldContain(says);
        _systemd.Error = null;
    }

    [Theory] // Wrong program: takes the end of a job for its success.
    [InlineData("failed")]
    [InlineData("timeout")]
    [InlineData("canceled")]
    [InlineData("dependency")]
    public async Task A_job_that_does_not_end_well_is_a_failed_start(string result)
    {
        await ConnectAsync();
        _systemd!.JobResult = result;
        (await _daemon.PromoteAsync().ShouldThrowAsync<TriggerFailedException>()).Message.ShouldContain($"web.service did not start ({result})");
        _systemd.JobResult = "done";
    }

    [Fact] // Two masters. Wrong program: a stop job that was cancelled by somebody's start counts as a stop.
    public async Task A_stop_that_somebody_undoes_is_no_stop()
    {
        await ConnectAsync();
        await _daemon.PromoteAsync();
        _systemd!.JobResult = "canceled";
        (await _daemon.KillAsync().ShouldThrowAsync<TriggerFailedException>()).Message.ShouldContain("web.service is active after its stop (canceled)");
        _systemd.JobResult = "done";
    }

    [Fact] // Two masters. Wrong program: hangs with the job, or says that it has stopped.
    public async Task A_job_that_never_ends_is_no_stop()
    {
        await ConnectAsync();
        await _daemon.PromoteAsync();
        _systemd!.EndsJobs = false;
        (await _daemon.KillAsync().ShouldThrowAsync<TriggerFailedException>()).Message.ShouldContain("Cannot stop unit web.service");
        _systemd.EndsJobs = true;
    }

    [Fact]
    public async Task A_systemd_that_does_not_answer_is_a_finding()
    {
        _systemd!.Answers = false;
        (await FindingsAsync(_bus!.Address)).ShouldHaveSingleItem().Text.ShouldContain("systemd does not answer on unix:path=");
    }

    [Fact]
    public async Task A_bus_without_systemd_is_a_finding()
    {
        _systemd!.Dispose();
        (await FindingsAsync(_bus!.Address)).ShouldHaveSingleItem().Text.ShouldContain("There is no systemd on the bus");
    }

    [Theory]
    [InlineData("unix:path=/nowhere/bus")]
    [InlineData("unix:nonsense")]
    [InlineData("unix:")]
    [InlineData("tcp:host=")]
    public async Task No_bus_is_a_finding(string address) =>
        (await FindingsAsync(address)).ShouldHaveSingleItem().Text.ShouldContain("Cannot talk to systemd over D-Bus");

    private async Task<List<DriverFinding>> FindingsAsync(string address)
    {
        var findings = new List<DriverFinding>();
        await foreach (var finding in Make(address).TestAsync(TestContext.Current.CancellationToken)) findings.Add(finding);
        return findings;
    }

    private async Task ConnectAsync()
    {
        await Make(_bus!.Address).ConnectAsync(TestContext.Current.CancellationToken);
        await _daemon.NextConnectionAsync();
        await Scratch.Eventually(() => _daemon.Triggers.Any(told => told is { IsMaster: false, Acknowledged: true }), "the clean slate");
    }

    private SystemdDriver Make(string address) => _driver = new SystemdDriver(new SystemdDriverOptions { Units = ["web.service"], Bus = address, HasGuard = false },
        new DriverHost { Address = new Uri(_daemon.Url).Authority, Secret = _daemon.Options.Secret });
}
