using Clustd.Client;
using Clustd.Client.Hosting;
using Clustd.Client.Protocol;
using Clustd.Client.Testing;
using Clustd.Tests.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Hosting;

public sealed class MasterHostingTests : IAsyncDisposable
{
    private readonly FakeDaemon daemon = FakeDaemon.Start();
    private readonly Journal journal = new();
    private IHost? host;

    [Fact]
    public async Task A_worker_runs_only_while_this_machine_is_the_master_and_is_a_new_one_each_time()
    {
        await StartAsync(services => services.AddClustdMaster<Worker>());
        await daemon.ConnectedAsync();
        journal.Lines.ShouldBeEmpty();

        var first = await daemon.PromoteAsync();
        await journal.HasAsync($"Worker runs under {first}");
        await daemon.DemoteAsync();
        journal.Lines.Last().ShouldBe($"Worker disposed, under {first}");

        var second = await daemon.PromoteAsync();
        await journal.HasAsync($"Worker runs under {second}");
        journal.Lines.Count(line => line.StartsWith("Worker made", StringComparison.Ordinal)).ShouldBe(2);
        State.IsMaster().ShouldBeTrue();
        State.LeaseOf()!.Token.ShouldBe(second);
    }

    // Wrong program: answers the stop when the worker was asked, not when it has returned.
    [Fact]
    public async Task A_stop_is_acknowledged_only_when_the_workers_own_code_has_returned()
    {
        await StartAsync(services => services.AddClustdMaster<SlowToStop>());
        await daemon.PromoteAsync();
        await journal.HasAsync("SlowToStop runs");
        var demote = daemon.DemoteAsync();
        await journal.HasAsync("SlowToStop was asked to stop");
        demote.IsCompleted.ShouldBeFalse();
        journal.Go.SetResult();
        await demote;
        journal.Lines.Last().ShouldBe("SlowToStop returned");
    }

    [Fact]
    public async Task An_ordinary_background_service_is_taken_and_may_ask_for_its_lease()
    {
        await StartAsync(services => services.AddClustdMaster<Ordinary>());
        var token = await daemon.PromoteAsync();
        await journal.HasAsync($"Ordinary runs under {token}");
        await daemon.DemoteAsync();
    }

    [Theory]
    [InlineData("later")]
    [InlineData("returns")]
    public async Task A_worker_that_ends_by_itself_is_reported_as_failed(string how)
    {
        journal.How = how;
        await StartAsync(services => services.AddClustdMaster<Failing>());
        var token = await daemon.PromoteAsync();
        journal.Go.SetResult();
        var failure = await daemon.FailureAsync();
        (failure.Service, failure.Token).ShouldBe(("default", token));
        failure.Reason.ShouldBe(how == "returns" ? "Failing ended by itself" : "Failing failed: the mailbox is full");
        await daemon.DemoteAsync();
    }

    [Fact]
    public async Task A_worker_that_cannot_be_made_is_a_failed_start_and_those_before_it_are_stopped()
    {
        await StartAsync(services => services.AddClustdMaster<Worker>().AddClustdMaster<Unmakeable>());
        (await Should.ThrowAsync<TriggerFailedException>(daemon.PromoteAsync())).Message.ShouldBe("no such printer");
        await daemon.DemoteAsync();
        journal.Lines.Last().ShouldStartWith("Worker disposed");
    }

    [Fact]
    public async Task Workers_of_a_service_start_in_their_order_and_stop_in_reverse_and_services_do_not_mix()
    {
        await StartAsync(services => services.AddClustdMaster<Worker>("web").AddClustdMaster<Second>("web").AddClustdMaster<Ordinary>("mail"));
        (await daemon.ConnectedAsync()).Registration.Services.ShouldBe(["web", "mail"]);
        await daemon.PromoteAsync("web");
        await journal.HasAsync("Second runs");
        await daemon.DemoteAsync("web");
        journal.Lines.Where(line => line.Contains("made", StringComparison.Ordinal)).ShouldBe(["Worker made", "Second made"]);
        journal.Lines.Where(line => line.Contains("disposed", StringComparison.Ordinal)).Select(line => line.Split(' ')[0]).ShouldBe(["Second", "Worker"]);
    }

    // Wrong program: the host ends and the daemon waits for the lease to run out; or hears "stopped" while the worker still runs.
    [Fact]
    public async Task When_the_host_stops_the_worker_stops_then_the_daemon_is_told_then_the_connection_is_closed()
    {
        await StartAsync(services => services.AddClustdMaster<Worker>());
        var connection = await daemon.ConnectedAsync();
        var token = await daemon.PromoteAsync();
        await journal.HasAsync($"Worker runs under {token}");
        await host!.StopAsync();
        journal.Lines.Last().ShouldBe($"Worker disposed, under {token}");
        daemon.Stopped.Single().Token.ShouldBe(token);
        (await connection.Closed.WaitAsync(ScriptedDaemon.Patience)).Status.ShouldBe(System.Net.WebSockets.WebSocketCloseStatus.NormalClosure);
    }

    [Fact]
    public async Task When_the_lease_is_over_the_worker_is_stopped_and_comes_back_with_the_next_grant()
    {
        await StartAsync(services => services.AddClustdMaster<Worker>());
        var token = await daemon.PromoteAsync();
        await journal.HasAsync($"Worker runs under {token}");
        await daemon.LapseAsync();
        journal.Lines.Last().ShouldBe($"Worker disposed, under {token}");
        State.IsMaster().ShouldBeFalse();
        await journal.HasAsync($"Worker runs under {await daemon.PromoteAsync()}");
    }

    // Wrong program: trusts BackgroundService.StopAsync, or waits for ever, while another machine has taken over.
    [Theory]
    [InlineData(StopGuarantee.Certain, 1)]
    [InlineData(StopGuarantee.BestEffort, 0)]
    public async Task A_worker_that_ignores_its_cancellation_past_the_deadline_ends_the_process_unless_it_was_told_not_to(StopGuarantee stop, int ends)
    {
        await StartAsync(services => services.AddClustdMaster<Deaf>(options => options.Stop = stop));
        (await daemon.ConnectedAsync()).Registration.Stop.ShouldBe(ends == 1 ? "certain" : "best-effort");
        await daemon.PromoteAsync();
        await journal.HasAsync("Deaf runs");
        daemon.Lapse();
        await journal.HasAsync("Deaf was asked to stop");
        daemon.Advance(TimeSpan.FromMilliseconds(449));
        daemon.ProcessEnds.ShouldBeEmpty();
        daemon.Advance(TimeSpan.FromMilliseconds(1));
        if (ends == 1)
            (await daemon.ProcessEndedAsync()).ShouldContain("kill_timeout");
        else
            await journal.HasAsync("clustd: 'default' has not stopped in time", contains: true);
        daemon.ProcessEnds.Count.ShouldBe(ends);
        daemon.Stopped.ShouldBeEmpty();
        journal.Go.SetResult();
        await daemon.HeardAsync(DriverMethods.Stopped);
    }

    [Fact]
    public async Task The_configuration_says_who_it_is_and_code_has_the_last_word()
    {
        await StartAsync(
            services => services.AddClustdMaster<Worker>("web", options => options.Order = 7),
            ("Clustd:Id", "shop-1"), ("clustd:name", "shop"), ("Clustd:Order", "3"), ("Clustd:Stop", "BestEffort"), ("Clustd:StopTimeout", "00:00:03"), ("Clustd:KillTimeout", "0:0:0.2"));
        var registration = (await daemon.ConnectedAsync()).Registration;
        (registration.Id, registration.Name, registration.Order, registration.Stop).ShouldBe(("shop-1", "shop", 7, "best-effort"));
        (registration.StopTimeoutUs, registration.KillTimeoutUs).ShouldBe((3_000_000, 200_000));
    }

    [Theory]
    [InlineData("Clustd:Sekret", "x", "there is no 'Clustd:Sekret'")]
    [InlineData("Clustd:Order", "first", "'Clustd:Order' is 'first', and not a whole number")]
    [InlineData("Clustd:StopTimeout", "10 s", "not a duration. Write it like 00:00:10")]
    [InlineData("Clustd:Stop", "Perhaps", "one of Certain, BestEffort, CertainByGuard")]
    [InlineData("Clustd:SecretFile", "/no/such/file", "Correct Clustd:SecretFile")]
    public async Task What_is_wrong_in_the_configuration_keeps_the_host_from_starting_and_says_what_to_do(string key, string value, string message) =>
        (await Should.ThrowAsync<InvalidOperationException>(StartAsync(services => services.AddClustdMaster<Worker>(options => options.Secret = key.EndsWith("File", StringComparison.Ordinal) ? null : "x"), (key, value))))
            .Message.ShouldContain(message);

    [Fact]
    public async Task A_secret_may_come_from_a_file()
    {
        var path = Path.GetTempFileName();
        await File.WriteAllTextAsync(path, daemon.Options.Secret + "\n");
        await StartAsync(services => services.AddClustdMaster<Worker>(options => (options.Secret, options.SecretFile) = (null, path)));
        await daemon.ConnectedAsync();
        File.Delete(path);
    }

    [Fact]
    public async Task A_worker_without_a_service_beside_one_with_one_is_refused() =>
        (await Should.ThrowAsync<InvalidOperationException>(StartAsync(services => services.AddClustdMaster<Worker>().AddClustdMaster<Second>("web")))).Message.ShouldContain("Name the service of every worker");

    // Wrong program: the web front end does not come up because the daemon is being restarted.
    [Fact]
    public async Task A_daemon_that_refuses_or_is_not_there_does_not_keep_the_host_from_starting()
    {
        daemon.Refusal = "Cannot register: no service 'x'. Name another.";
        await StartAsync(services => services.AddClustdMaster<Worker>());
        await Eventually.HoldsAsync(() => State.Problem is not null, () => State.ToString());
        State.Problem.ShouldBe("Cannot register: no service 'x'. Name another.");
        (State.IsConnected, State.IsMaster()).ShouldBe((false, false));
        await host!.StopAsync().WaitAsync(ScriptedDaemon.Patience);
    }

    [Fact]
    public async Task Works_in_a_web_application_and_its_state_can_be_asked_for()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        builder.Services.AddSingleton(journal).AddClustdMaster<Worker>(Reach);
        await using var app = builder.Build();
        app.MapGet("/master", (ClustdState clustd) => clustd.IsMaster() ? Results.Ok("master") : Results.StatusCode(503));
        await app.StartAsync();
        using var http = new HttpClient { BaseAddress = new Uri(app.Urls.Single()) };
        (await http.GetAsync("/master")).StatusCode.ShouldBe(System.Net.HttpStatusCode.ServiceUnavailable);
        await daemon.PromoteAsync();
        (await http.GetAsync("/master")).StatusCode.ShouldBe(System.Net.HttpStatusCode.OK);
        await app.StopAsync();
        journal.Lines.Last().ShouldStartWith("Worker disposed");
    }

    public async ValueTask DisposeAsync()
    {
        journal.Go.TrySetResult();
        if (host is not null)
        {
            await host.StopAsync();
            host.Dispose();
        }
        await daemon.DisposeAsync();
    }

    private ClustdState State => host!.Services.GetRequiredService<ClustdState>();

    private void Reach(ClustdOptions options)
    {
        options.Host = daemon.Url;
        options.Secret = daemon.Options.Secret;
        options.ConfigureDriver = client => client with { TimeProvider = daemon.Client.TimeProvider, EndProcess = daemon.Client.EndProcess };
    }

    private async Task StartAsync(Action<IServiceCollection> add, params (string Key, string Value)[] configuration)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Configuration.AddInMemoryCollection(configuration.Select(pair => KeyValuePair.Create(pair.Key, (string?)pair.Value)));
        builder.Logging.AddProvider(journal);
        builder.Services.AddSingleton(journal).AddClustd(Reach);
        add(builder.Services);
        var built = builder.Build();
        await built.StartAsync();
        host = built;
    }
}
