using System.Net.WebSockets;
using System.Text;
using Clustd.Client;
using Clustd.Client.Protocol;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Client;

public class HostileDaemonTests
{
    private static readonly TimeSpan Patience = ScriptedDaemon.Patience;

    [Theory]
    [InlineData("{", WebSocketMessageType.Text, 1007)]
    [InlineData("", WebSocketMessageType.Text, 1007)]
    [InlineData("null", WebSocketMessageType.Text, 1007)]
    [InlineData("[]", WebSocketMessageType.Text, 1007)]
    [InlineData("42", WebSocketMessageType.Text, 1007)]
    [InlineData("{}", WebSocketMessageType.Text, 1007)]
    [InlineData("""{"jsonrpc":"1.0","method":"x"}""", WebSocketMessageType.Text, 1007)]
    [InlineData("""{"jsonrpc":"2.0","method":5}""", WebSocketMessageType.Text, 1007)]
    [InlineData("""{"jsonrpc":"2.0","method":"x","params":[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]}""", WebSocketMessageType.Text, 1007)]
    [InlineData("x", WebSocketMessageType.Binary, 1003)]
    public async Task Garbage_closes_the_connection_with_a_reason_and_the_driver_comes_back(string garbage, WebSocketMessageType type, int status)
    {
        await using var daemon = new ScriptedDaemon { Renew = renew => new RenewResult { Stamp = renew.Stamp, LeftUs = 30_000_000 } };
        await using var driver = new RecordingDriver(daemon);
        await driver.ConnectAsync().WaitAsync(Patience);
        var side = await daemon.NextDriverAsync();
        await side.TriggerAsync(true, 5);
        await side.SendRawAsync(Encoding.UTF8.GetBytes(garbage), type);
        var (closed, reason) = await side.Closed.WaitAsync(Patience);
        ((int?)closed).ShouldBe(status);
        reason.ShouldNotBeNullOrEmpty();
        (await daemon.NextDriverAsync()).Registration.States.Single().Token.ShouldBe(5);
        driver.Story.ShouldBe("+5");
    }

    [Theory]
    [InlineData(DriverProtocol.MessageBytesMax, null)]
    [InlineData(DriverProtocol.MessageBytesMax + 1, 1009)]
    [InlineData(1024 * 1024, 1009)]
    public async Task A_message_may_have_256_kB_and_no_more(int bytes, int? status)
    {
        await using var daemon = new ScriptedDaemon();
        await using var driver = new RecordingDriver(daemon);
        await driver.ConnectAsync().WaitAsync(Patience);
        var side = await daemon.NextDriverAsync();
        const string head = """{"jsonrpc":"2.0","method":"news","params":{"text":""" + "\"", tail = "\"}}";
        var closed = side.Closed;
        try
        {
            await side.SendRawAsync(Encoding.UTF8.GetBytes(head + new string('x', bytes - head.Length - tail.Length) + tail));
        }
        catch (Exception e) when (e is WebSocketException or IOException)
        {
            // The driver hung up in the middle of the message.
        }
        if (status is null)
            (await side.TriggerAsync(true, 5)).Error.ShouldBeNull();
        else
            ((int?)(await closed.WaitAsync(Patience)).Status).ShouldBe(status);
    }

    [Theory]
    [InlineData("""{"isMaster":true,"token":5,"sequence":1}""")]
    [InlineData("""{"service":null,"isMaster":true,"token":5,"sequence":1}""")]
    [InlineData("""{"service":"default","isMaster":"yes","token":5,"sequence":1}""")]
    [InlineData("""{"service":"default","isMaster":true,"token":1.5,"sequence":1}""")]
    [InlineData("""{"service":"another","isMaster":true,"token":5,"sequence":1}""")]
    public async Task A_trigger_that_makes_no_sense_is_answered_and_starts_nothing(string parameters)
    {
        await using var daemon = new ScriptedDaemon();
        await using var driver = new RecordingDriver(daemon);
        await driver.ConnectAsync().WaitAsync(Patience);
        var side = await daemon.NextDriverAsync();
        var answer = await side.CallAsync("trigger", System.Text.Json.JsonDocument.Parse(parameters).RootElement, ProtocolJson.Default.JsonElement);
        answer.Error!.Code.ShouldBe(DriverErrorCodes.InvalidParams);
        driver.Calls.ShouldBeEmpty();
    }

    // Wrong program: queues without bound, or calls user code once per message.
    [Fact]
    public async Task A_flood_is_answered_or_refused_without_running_user_code_more_than_once()
    {
        await using var daemon = new ScriptedDaemon { Renew = renew => new RenewResult { Stamp = renew.Stamp, LeftUs = 30_000_000 } };
        daemon.Terms = daemon.Terms with { LeaseUs = 60_000_000 }; // A daemon this busy answers renewals late: not what is tested here.
        var go = new TaskCompletionSource();
        await using var driver = new RecordingDriver(daemon) { Do = (trigger, _) => trigger.IsMaster ? go.Task : Task.CompletedTask };
        await driver.ConnectAsync().WaitAsync(Patience);
        var side = await daemon.NextDriverAsync();
        var floods = Enumerable.Range(0, 5_000).Select(i => i % 2 == 0
            ? side.TriggerAsync(true, 5)
            : side.CallAsync("nonsense", EmptyResult.Instance, ProtocolJson.Default.EmptyResult)).ToList();
        await Task.WhenAll(floods.Where((_, i) => i % 2 == 1));
        go.SetResult();
        var starts = await Task.WhenAll(floods.Where((_, i) => i % 2 == 0));
        starts.Count(answer => answer.Error is null).ShouldBeGreaterThan(0);
        driver.Story.ShouldBe("+5");
    }

    // Wrong program: needs the thread pool to see the lease end or to call the stop, so user code that blocks pool threads keeps a second master running.
    [Fact]
    public async Task A_starved_thread_pool_does_not_delay_the_stop_at_the_end_of_the_lease()
    {
        await using var daemon = new ScriptedDaemon { Renew = renew => new RenewResult { Stamp = renew.Stamp, LeftUs = 300_000 } };
        await using var driver = new RecordingDriver(daemon);
        await driver.ConnectAsync().WaitAsync(Patience);
        var side = await daemon.NextDriverAsync();
        await side.TriggerAsync(true, 5);

        var release = new ManualResetEventSlim(); // Not disposed: some of those who wait may begin to wait only after the test.
        for (var i = 0; i < 500; i++)
            ThreadPool.UnsafeQueueUserWorkItem(_ => release.Wait(), null); // The scripted daemon lives on the pool as well: renewals stop being answered.
        var until = Environment.TickCount64 + (long)Patience.TotalMilliseconds;
        while (driver.Calls.Count < 2 && Environment.TickCount64 < until)
            Thread.Sleep(1); // Not awaited: there is no pool to go on with.
        var story = driver.Story;
        release.Set();
        story.ShouldBe("+5 -5!");
    }
}
