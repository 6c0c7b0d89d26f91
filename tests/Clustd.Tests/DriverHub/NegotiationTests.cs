using System.Net;
using System.Net.WebSockets;
using Clustd.Client.Protocol;
using Clustd.Core;
using Clustd.Tests.Client;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Hub;

/// <summary>Which version is spoken, and what either side does with what it does not know.</summary>
public sealed class NegotiationTests
{
    [Theory]
    [InlineData("clustd.v1", "clustd.v1")]
    [InlineData("clustd.v2, clustd.v1", "clustd.v1")]
    [InlineData("", null)]
    public async Task The_daemon_takes_its_own_version_of_those_that_are_offered(string offered, string? taken)
    {
        await using var server = await HubServer.StartAsync();
        using var socket = Socket(offered);

        await socket.ConnectAsync(new Uri(server.Url + "/v1/driver"), default).WaitAsync(ScriptedDaemon.Patience);

        socket.SubProtocol.ShouldBe(taken);
    }

    [Theory]
    [InlineData("clustd.v2")]
    [InlineData("mqtt, graphql-ws")]
    public async Task A_driver_that_offers_only_others_is_refused_with_a_sentence(string offered)
    {
        await using var server = await HubServer.StartAsync();
        using var http = new HttpClient();
        using var request = new HttpRequestMessage(HttpMethod.Get, server.Url.Replace("ws://", "http://", StringComparison.Ordinal) + "/v1/driver");
        foreach (var (name, value) in new[] { ("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="), ("Sec-WebSocket-Protocol", offered) })
            request.Headers.TryAddWithoutValidation(name, value);

        using var response = await http.SendAsync(request);

        response.StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        (await response.Content.ReadAsStringAsync()).ShouldContain($"It offers {offered}; this daemon speaks clustd.v1.");
    }

    [Fact]
    public async Task The_daemon_ignores_unknown_fields_and_notifications()
    {
        await using var server = await HubServer.StartAsync();
        await using var driver = await RawDriver.AuthenticatedAsync(server);

        await driver.SendAsync("""{"jsonrpc":"2.0","method":"dance","params":[1]}""");
        var answer = await driver.CallAsync("register", """{"name":"a","instance":"b","id":"c","mood":{"good":[true]},"states":[{"service":"web","isMaster":false,"token":1,"since":7}]}""");

        answer.Error.ShouldBeNull();
        (await server.OneAsync<Input.DriverRegistered>()).Registration.States.Length.ShouldBe(1);
    }

    [Fact]
    public async Task The_SDK_ignores_unknown_fields_and_notifications_and_answers_an_unknown_method_with_an_error()
    {
        await using var daemon = new ScriptedDaemon();
        await using var driver = new RecordingDriver(daemon);
        var connecting = driver.ConnectAsync();
        var side = await daemon.NextDriverAsync();
        await connecting.WaitAsync(ScriptedDaemon.Patience);

        await side.SendRawAsync("""{"jsonrpc":"2.0","method":"dance","params":{}}"""u8.ToArray());
        await side.SendRawAsync("""{"jsonrpc":"2.0","id":"t1","later":1,"method":"trigger","params":{"service":"default","isMaster":false,"token":5,"sequence":1,"limitUs":5000000,"later":[]}}"""u8.ToArray());
        var unknown = await side.CallAsync("dance", EmptyResult.Instance, ProtocolJson.Default.EmptyResult);

        unknown.Error.ShouldNotBeNull().Code.ShouldBe(DriverErrorCodes.MethodNotFound);
        await Eventually.HoldsAsync(() => driver.Story == "-5", () => driver.Story);
    }

    private static ClientWebSocket Socket(string offered)
    {
        var socket = new ClientWebSocket();
        foreach (var protocol in offered.Split(", ", StringSplitOptions.RemoveEmptyEntries))
            socket.Options.AddSubProtocol(protocol);
        return socket;
    }
}
