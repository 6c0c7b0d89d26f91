using Clustd.Client.Hosting;
using Clustd.Client.Testing;
using LeaderWorker;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Xunit;

public class DriverTests
{
    [Fact]
    public async Task Counts_while_it_is_master_and_stops_by_itself_when_the_lease_is_over()
    {
        await using var daemon = FakeDaemon.Start();
        await using var driver = new CounterDriver(daemon.Client, daemon.Url);
        await driver.ConnectAsync();
        await daemon.PromoteAsync();
        Assert.True(driver.IsCounting);
        await daemon.LapseAsync(); // The lease runs out: the driver stops by itself.
        Assert.False(driver.IsCounting);
    }

    [Fact]
    public async Task Goes_on_while_the_daemon_is_away()
    {
        await using var daemon = FakeDaemon.Start();
        await using var driver = new CounterDriver(daemon.Client, daemon.Url);
        await driver.ConnectAsync();
        var token = await daemon.PromoteAsync();
        daemon.DropConnection();
        await daemon.ConnectedAsync();
        Assert.True(driver.IsCounting);
        Assert.Equal(token, driver.LeaseOf()?.Token);
        await daemon.DemoteAsync();
        Assert.False(driver.IsCounting);
    }

    [Fact]
    public async Task The_worker_runs_only_while_this_machine_is_the_master()
    {
        await using var daemon = FakeDaemon.Start();
        var builder = Host.CreateApplicationBuilder();
        builder.Services.AddClustdMaster<Ticker>(options =>
        {
            options.Host = daemon.Url;
            options.Secret = daemon.Options.Secret;
            options.ConfigureDriver = client => client with { TimeProvider = daemon.Clock, EndProcess = daemon.Client.EndProcess };
        });
        using var host = builder.Build();
        await host.StartAsync(TestContext.Current.CancellationToken);
        var clustd = host.Services.GetRequiredService<ClustdState>();
        Assert.False(clustd.IsMaster());
        await daemon.PromoteAsync();
        Assert.True(clustd.IsMaster());
        await host.StopAsync(TestContext.Current.CancellationToken);
        Assert.Single(daemon.Stopped); // The daemon was told: the next master need not wait for the lease.
    }
}
