using System.Net.Sockets;
using System.Net.WebSockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Clustd.Client;
using Clustd.Client.Protocol;
using Clustd.EndToEnd.Harness;
using Shouldly;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>Drivers that hang, flood and talk nonsense. The daemon lives on, and what is the master stays it.</summary>
public class HostileDriverTests(HostileDriverTests.Cluster cluster) : Scenario(cluster), IClassFixture<HostileDriverTests.Cluster>
{
    [Fact]
    public async Task A_required_driver_that_never_answers_a_start_fails_it_and_the_next_machine_is_tried()
    {
        // 'probed' names its driver, which makes it required; on the first machine by name it hangs.
        var drivers = Machines.All.Select((machine, index) => new ProbeDriver(machine, hangs: index == 0)).ToList();
        try
        {
            await Task.WhenAll(drivers.Select(driver => driver.ConnectAsync()));
            await Machines.All[0].AskAsync("/v1/requests/move", """{"service":"probed","target":"cm-1"}"""); // if another one was faster
            await Eventually.IsTrue(() => drivers[0].Starts.Length > 0, "the hanging driver is told to start");
            var toldAt = ActObserver.Now;
            var next = await Eventually.Gives(() => drivers.Skip(1).FirstOrDefault(driver => driver.Starts.Any(token => token > drivers[0].Starts[0])), "another machine's driver is told to start");

            drivers[0].Stops.ShouldBeGreaterThan(0, "the start that hung was cancelled and stopped first");
            MeasuredTimes.Add($"a required driver never answers a start (start_timeout 2 s; next start after {(ActObserver.Now - toldAt) / 1e3:0} ms)", toldAt, null, null);
            await Eventually.IsTrue(
                async () => await Machines.All[1].StatusAsync() is { } status && status.Service("probed") is (var master, var token, "running") && token == next.Starts[^1] && master != "cm-1",
                "it runs on another machine");
        }
        finally
        {
            foreach (var driver in drivers) await driver.DisposeAsync();
        }
    }

    [Fact]
    public async Task Garbage_on_the_port_changes_nothing()
    {
        var (old, master) = (Machines.Acts.Newest()!, Machines.Master);
        foreach (var seed in Enumerable.Range(0, 60))
        {
            // Like the beginning of TLS, of HTTP, and like nothing.
            var garbage = new byte[2_000];
            new Random(seed).NextBytes(garbage);
            if (seed % 3 == 0) garbage[0] = 0x16;
            if (seed % 3 == 1) "GET /v1/driver HTTP/1.1\r\n"u8.CopyTo(garbage);
            using var socket = new TcpClient();
            await socket.ConnectAsync("127.0.0.1", master.Port);
            try
            {
                await socket.GetStream().WriteAsync(garbage);
            }
            catch (IOException)
            {
                // Closed at once: as good an answer as any.
            }
        }

        foreach (var text in (string[])["", "{", "null", "[]", "{\"jsonrpc\":\"2.0\"}", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"register\",\"params\":{}}", new string('[', 60_000), new string('x', 100_000)])
        {
            using var driver = new RawDriver(master);
            await driver.ConnectAsync();
            await driver.SendAsync(text);
            await driver.ReadUntilClosedOrQuietAsync();
        }

        await ShouldBeUnimpressedAsync(master, old);
    }

    [Fact]
    public async Task A_driver_that_floods_changes_nothing()
    {
        var (old, master) = (Machines.Acts.Newest()!, Machines.Master);
        using var driver = new RawDriver(master);
        await driver.ConnectAsync();
        await driver.AuthenticateAndRegisterAsync("flooding");
        var until = ActObserver.Now + 3_000_000;
        var sent = 0;
        try
        {
            for (; ActObserver.Now < until; sent++)
            {
                await driver.SendAsync($$$"""{"jsonrpc":"2.0","id":{{{sent + 100}}},"method":"event","params":{"kind":"noise","text":"{{{new string('n', 500)}}}"}}""");
            }
        }
        catch (Exception e) when (e is WebSocketException or IOException or OperationCanceledException)
        {
            // The daemon had enough of it.
        }

        sent.ShouldBeGreaterThan(10);
        await ShouldBeUnimpressedAsync(master, old);
    }

    private async Task ShouldBeUnimpressedAsync(Machine machine, Tenure old)
    {
        var now = await Machines.ShouldGoOnActingAsync(TimeSpan.FromSeconds(3));
        (now.Token, now.Pid).ShouldBe((old.Token, old.Pid));
        (await machine.RunAsync("status")).ExitCode.ShouldBe(0);
        machine.Log.ShouldNotContain("   at ", Case.Sensitive, "no stack trace: strangers could fill the disk with them");
        machine.Log.Length.ShouldBeLessThan(200_000);
        Machines.Acts.ShouldNeverOverlap();
    }

    public sealed class Cluster : SharedCluster
    {
        protected override ClusterPlan Plan => new() { Rest = $"services:\n  default: {{}}\n  probed: {{ start_timeout: 2s, drivers: [probe], prefer: [cm-1] }}\n{ClusterPlan.SupervisedApp}" };
    }

    /// <summary>Remembers what it is told; one that hangs answers no start, and gives it up only when it is cancelled.</summary>
    private sealed class ProbeDriver(Machine machine, bool hangs) : DriverMachine(
        new DriverClient { Secret = ClusterPlan.GoodSecret, Id = "probe", Services = ["probed"], Stop = StopGuarantee.BestEffort }, $"ws://127.0.0.1:{machine.Port}")
    {
        private long[] _starts = [];
        private int _stops;

        /// <summary>Tokens of the starts it was told.</summary>
        public long[] Starts => Volatile.Read(ref _starts);

        /// <summary>Stops after the first start.</summary>
        public int Stops => Volatile.Read(ref _stops);

        protected override Task TriggerAsync(Trigger trigger, CancellationToken cancellationToken)
        {
            if (trigger.IsMaster) Volatile.Write(ref _starts, [.. _starts, trigger.Token]);
            else if (_starts.Length > 0) Interlocked.Increment(ref _stops);
            return trigger.IsMaster && hangs ? Task.Delay(Timeout.Infinite, cancellationToken) : Task.CompletedTask;
        }
    }

    /// <summary>A driver written from docs/protocol.md, without the SDK: it can misbehave.</summary>
    private sealed class RawDriver(Machine machine) : IDisposable
    {
        private readonly ClientWebSocket _socket = new();

        public Task ConnectAsync()
        {
            _socket.Options.AddSubProtocol("clustd.v1");
            return _socket.ConnectAsync(new Uri($"ws://127.0.0.1:{machine.Port}/v1/driver"), CancellationToken.None).WaitAsync(Eventually.Patience);
        }

        public async Task AuthenticateAndRegisterAsync(string name)
        {
            var key = Handshake.KeyOf(ClusterPlan.GoodSecret);
            var nonce = Convert.ToBase64String(RandomNumberGenerator.GetBytes(32));
            var hello = await CallAsync(1, "hello", new JsonObject { ["nonce"] = nonce });
            var daemonNonce = hello["nonce"]!.GetValue<string>();
            await CallAsync(2, "authenticate", new JsonObject { ["proof"] = Handshake.DriverProof(key, nonce, daemonNonce) });
            await CallAsync(3, "register", new JsonObject
            {
                ["name"] = name, ["instance"] = Guid.NewGuid().ToString("N"), ["id"] = name, ["services"] = new JsonArray(), ["order"] = 0, ["required"] = false, ["stop"] = "best-effort",
            });
        }

        public Task SendAsync(string text) =>
            _socket.SendAsync(Encoding.UTF8.GetBytes(text), WebSocketMessageType.Text, endOfMessage: true, CancellationToken.None).WaitAsync(Eventually.Patience);

        public async Task ReadUntilClosedOrQuietAsync()
        {
            using var quiet = new CancellationTokenSource(TimeSpan.FromMilliseconds(300));
            try
            {
                while (_socket.State == WebSocketState.Open) await _socket.ReceiveAsync(new byte[4096], quiet.Token);
            }
            catch (Exception e) when (e is OperationCanceledException or WebSocketException)
            {
                // Both will do.
            }
        }

        public void Dispose() => _socket.Dispose();

        private async Task<JsonNode> CallAsync(int id, string method, JsonObject parameters)
        {
            await SendAsync(new JsonObject { ["jsonrpc"] = "2.0", ["id"] = id, ["method"] = method, ["params"] = parameters }.ToJsonString());
            while (true)
            {
                var buffer = new byte[64 * 1024];
                var received = await _socket.ReceiveAsync(buffer, CancellationToken.None).WaitAsync(Eventually.Patience);
                var answer = JsonNode.Parse(buffer.AsSpan(0, received.Count))!;
                if (answer["id"] is JsonValue answered && answered.GetValueKind() == JsonValueKind.Number && answered.GetValue<int>() == id && answer["method"] is null)
                    return answer["result"] ?? throw new InvalidOperationException($"{method} was refused: {answer}");
            }
        }
    }
}
