using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using Clustd.Client;
using Clustd.Client.Protocol;
using Clustd.Client.Testing;
using Clustd.Core;
using Clustd.Tests.Client;
using Clustd.Tests.Hub;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Docs.AsyncApi;

/// <summary>docs/asyncapi.yaml says what is really said, and is a document that tools for AsyncAPI 3 can read.</summary>
public sealed class AsyncApiTests
{
    private static readonly AsyncApiDocument Document = AsyncApiDocument.Ours;

    [Fact]
    public async Task All_that_the_daemon_and_the_SDK_say_to_each_other_is_described()
    {
        await using var server = await HubServer.StartAsync();
        await using var proxy = await RecordingProxy.StartAsync(server.Url);
        await using (var driver = new RecordingDriver(new DriverClient { Secret = HubServer.Secret, Id = "recorder", Services = ["web"], StopTimeout = TimeSpan.FromSeconds(3) }, proxy.Url))
        {
            await driver.ConnectAsync().WaitAsync(ScriptedDaemon.Patience);
            var connection = (await server.OneAsync<Input.DriverRegistered>()).Connection;
            await ToldAsync(server, connection, isMaster: true, sequence: 1);
            await driver.ReportHealthAsync("web", ok: false, "slow").WaitAsync(ScriptedDaemon.Patience);
            await driver.ReportEventAsync(DriverLogLevel.Warning, "disk nearly full").WaitAsync(ScriptedDaemon.Patience);
            await driver.ReportFailedAsync("web", "it crashed thrice").WaitAsync(ScriptedDaemon.Patience);

            // What is running is told when it comes again.
            proxy.Cut();
            await Eventually.HoldsAsync(() => server.All<Input.DriverRegistered>().Length == 2, () => "it has not come back");
            connection = server.All<Input.DriverRegistered>()[1].Connection;
            server.Core = input => input is Input.DriverRenewed renewed
                ? [new Output.DriverLease(renewed.Connection, renewed.Stamp, TimeSpan.FromMilliseconds(900)) { Shortens = true }]
                : HubServer.Accept(input);
            await ToldAsync(server, connection, isMaster: false, sequence: 2);

            // A start that is cancelled, and fails for that.
            driver.Do = (_, cancellationToken) => Task.Delay(Timeout.Infinite, cancellationToken);
            server.Hub.Perform(HubServer.Tell(connection, isMaster: true, token: 8, sequence: 3));
            await Eventually.HoldsAsync(() => driver.Story.EndsWith("+8", StringComparison.Ordinal), () => driver.Story);
            server.Hub.Perform(new Output.CancelTrigger(connection, new ServiceName("web"), 3));
            await AnsweredAsync(server, 3);
            driver.Do = (_, _) => Task.CompletedTask;
            await ToldAsync(server, connection, isMaster: false, sequence: 4);

            server.Core = input => input is Input.DriverRenewed renewed ? [new Output.DriverLease(renewed.Connection, renewed.Stamp, null)] : HubServer.Accept(input);
            var silent = proxy.Messages.Count;
            await Eventually.HoldsAsync(() => proxy.Messages.Skip(silent).Any(message => !message.FromDriver && message.Text.Contains("\"stamp\"")), () => "it does not renew");
        }

        await StopProof.SendAsync(proxy.Url, HubServer.Secret, new StoppedParams { Name = "shell", Instance = "i1", Service = "web", Token = 9, Reason = "all exited" }, default);
        server.Core = input => input is Input.DriverRegistered registered ? [new Output.DriverRefused(registered.Connection, "Refused: too slow. Raise stop_timeout.")] : [];
        await using (var refused = new RecordingDriver(new DriverClient { Secret = HubServer.Secret, Id = "refused" }, proxy.Url))
            await Should.ThrowAsync<DriverRefusedException>(() => refused.ConnectAsync().WaitAsync(ScriptedDaemon.Patience));

        var check = new TrafficCheck(Document);
        check.Check(proxy.Messages);
        check.Faults.ShouldBeEmpty();
        check.Operations.ShouldBe(Names(Document.Operations));
        check.Messages.ShouldBe(Names(Document.Messages), "each message of the document is seen");
        Repository.Text("docs/protocol.md").ShouldContain("[asyncapi.yaml](asyncapi.yaml)");
    }

    [Fact]
    public async Task What_the_fake_daemon_says_is_described_as_well()
    {
        await using var daemon = FakeDaemon.Start();
        await using var proxy = await RecordingProxy.StartAsync(daemon.Url);
        await using (var driver = new RecordingDriver(daemon.Client with { Services = ["default"] }, proxy.Url))
        {
            await driver.ConnectAsync().WaitAsync(ScriptedDaemon.Patience);
            await daemon.PromoteAsync();
            await driver.ReportFailedAsync("default", "it crashed").WaitAsync(ScriptedDaemon.Patience);
            await daemon.LapseAsync(); // It stops by itself, and proves it.
            await daemon.PromoteAsync();
            await daemon.DemoteAsync();
        }

        var check = new TrafficCheck(Document);
        check.Check(proxy.Messages);
        check.Faults.ShouldBeEmpty();
        check.Operations.ShouldBe(["authenticate", "failed", "hello", "register", "renew", "stopped", "trigger"]);
    }

    [Theory] // Wrong program: a check that finds nothing, whatever it is shown.
    [InlineData(true, """{"jsonrpc":"2.0","id":1,"method":"hello","params":{"name":"web"}}""", "hello.params lacks nonce")]
    [InlineData(true, """{"jsonrpc":"2.0","id":1,"method":"hello","params":{"nonce":"short"}}""", "hello.params.nonce is 'short'")]
    [InlineData(true, """{"jsonrpc":"1.0","id":1,"method":"authenticate","params":{"proof":"vqzZE0uxJBS3vUA4o9ZTi9+E+MFQeX+fBX0lPF6P2uI="}}""", "authenticate.jsonrpc is 1.0")]
    [InlineData(true, """{"jsonrpc":"2.0","id":1,"method":"renew","params":{"stamp":1.5}}""", "renew.params.stamp is Number")]
    [InlineData(true, """{"jsonrpc":"2.0","method":"renew","params":{"stamp":1}}""", "renew lacks id")]
    [InlineData(true, """{"jsonrpc":"2.0","id":1,"method":"stopped","params":{"name":"a","instance":"b","service":"","token":1}}""", "stopped.params.service has 0 characters")]
    [InlineData(true, """{"jsonrpc":"2.0","id":1,"method":"stopped","params":{"name":"a","instance":"b","service":"c","token":9007199254740992}}""", "stopped.params.token is 9007199254740992")]
    [InlineData(true, """{"jsonrpc":"2.0","id":1,"method":"event","params":{"level":"loud","text":""}}""", "event.params.level is loud")]
    [InlineData(true, """{"jsonrpc":"2.0","id":1,"method":"register","params":{"name":"a","instance":"b","id":"c","states":[{"service":"web","isMaster":true}]}}""", "register.params.states[0] lacks token")]
    [InlineData(true, """{"jsonrpc":"2.0","id":1,"method":"trigger","params":{"service":"a","isMaster":true,"token":1,"sequence":1}}""", "'trigger' comes from the wrong side")]
    [InlineData(false, """{"jsonrpc":"2.0","id":1,"method":"trigger","params":{"service":"a","isMaster":"yes","token":1,"sequence":1}}""", "trigger.params.isMaster is String")]
    [InlineData(true, """{"jsonrpc":"2.0","id":1,"method":"dance","params":{}}""", "'dance' is no operation")]
    [InlineData(true, """{"jsonrpc":"2.0","id":1,"result":{}}""", "an answer to nothing")]
    public void What_is_not_described_is_found(bool fromDriver, string text, string fault)
    {
        var check = new TrafficCheck(Document);

        check.Check([new Recorded(1, fromDriver, text)]);

        check.Faults.ShouldHaveSingleItem().ShouldStartWith(fault);
    }

    // Wrong program: closes a schema, and whoever reads by it drops a newer daemon's words. One message alone would show it for that message.
    [Fact]
    public void Unknown_fields_are_allowed_everywhere()
    {
        Closed(Document.Root, "#").ShouldBeEmpty();
        var check = new TrafficCheck(Document);

        check.Check([new Recorded(1, true, """{"jsonrpc":"2.0","id":1,"method":"renew","params":{"stamp":1,"later":{}},"later":[]}"""), new Recorded(1, false, """{"jsonrpc":"2.0","id":1,"result":{"stamp":1,"later":1}}""")]);

        check.Faults.ShouldBeEmpty();
    }

    private static IEnumerable<string> Closed(JsonNode? node, string path) => node switch
    {
        JsonObject mapping => mapping.SelectMany(each => each.Key is "additionalProperties" or "unevaluatedProperties" or "maxProperties" ? [$"{path}/{each.Key}"] : Closed(each.Value, $"{path}/{each.Key}")),
        JsonArray list => list.SelectMany((item, index) => Closed(item, $"{path}/{index}")),
        _ => [],
    };

    public static TheoryData<string> Records => [.. Contracts.Keys];

    private static SortedDictionary<string, JsonTypeInfo> Contracts { get; } = new(StringComparer.Ordinal)
    {
        ["HelloParams"] = ProtocolJson.Default.HelloParams,
        ["HelloResult"] = ProtocolJson.Default.HelloResult,
        ["AuthenticateParams"] = ProtocolJson.Default.AuthenticateParams,
        ["RegisterParams"] = ProtocolJson.Default.RegisterParams,
        ["DriverState"] = ProtocolJson.Default.DriverState,
        ["RegisterResult"] = ProtocolJson.Default.RegisterResult,
        ["RenewParams"] = ProtocolJson.Default.RenewParams,
        ["RenewResult"] = ProtocolJson.Default.RenewResult,
        ["TriggerParams"] = ProtocolJson.Default.TriggerParams,
        ["CancelParams"] = ProtocolJson.Default.CancelParams,
        ["StoppedParams"] = ProtocolJson.Default.StoppedParams,
        ["FailedParams"] = ProtocolJson.Default.FailedParams,
        ["HealthParams"] = ProtocolJson.Default.HealthParams,
        ["EventParams"] = ProtocolJson.Default.EventParams,
    };

    // Wrong program: a field is renamed, added or made optional in the program, and the document stays as it was.
    [Theory]
    [MemberData(nameof(Records))]
    public void Fields_are_those_of_the_program_and_as_many_are_needed(string record)
    {
        var schema = Document.At($"#/components/schemas/{record}")!;
        var contract = Contracts[record].Properties;

        Names((JsonObject)schema["properties"]!).ShouldBe(contract.Select(property => property.Name).Order(StringComparer.Ordinal));
        schema["required"]!.AsArray().Select(name => name!.GetValue<string>()).ShouldBe(contract.Where(property => property.IsRequired).Select(property => property.Name), ignoreOrder: true);
    }

    // Wrong program: a new message has a record and no schema.
    [Fact]
    public void No_record_of_the_protocol_is_left_out() =>
        typeof(HelloParams).Assembly.GetTypes().Where(type => type.Namespace == typeof(HelloParams).Namespace && (type.Name.EndsWith("Params", StringComparison.Ordinal) || type.Name.EndsWith("Result", StringComparison.Ordinal)) && type != typeof(EmptyResult))
            .Select(type => type.Name).Except(Contracts.Keys).ShouldBeEmpty();

    // Wrong program: two documents and the program number one error differently.
    [Fact]
    public void Error_codes_are_those_of_the_program_and_of_the_page()
    {
        var codes = Names((JsonObject)Document.At("#/components/schemas/Error/x-codes")!).Select(int.Parse).Order().ToList();
        var page = Repository.Text("docs/protocol.md");

        codes.ShouldBe(typeof(DriverErrorCodes).GetFields().Select(field => (int)field.GetRawConstantValue()!).Order());
        codes.Where(code => !page.Contains($"{code}")).ShouldBeEmpty();
    }

    [Fact]
    public void Methods_are_those_of_the_program() =>
        Names(Document.Operations).ShouldBe(typeof(DriverMethods).GetFields().Select(field => (string)field.GetRawConstantValue()!).Order(StringComparer.Ordinal));

    /// <summary>What the specification of AsyncAPI 3.0.0 asks of a document, as far as ours uses it.</summary>
    // Wrong program: a reference leads nowhere, or a generator of code refuses the file.
    [Fact]
    public void The_document_has_the_structure_of_AsyncAPI_3()
    {
        Document.Root["asyncapi"]!.GetValue<string>().ShouldBe("3.0.0");
        Document.Root.Select(pair => pair.Key).Except(["asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"]).ShouldBeEmpty();
        Document.Root["info"]!["title"]!.GetValue<string>().ShouldNotBeEmpty();
        Document.Root["info"]!["version"]!.GetValue<string>().ShouldNotBeEmpty();
        Document.References().Where(reference => !reference.StartsWith("#/", StringComparison.Ordinal) || Document.At(reference) is null).ShouldBeEmpty("a reference leads nowhere");
        foreach (var (name, server) in (JsonObject)Document.Root["servers"]!)
            (server!["host"] is not null && server["protocol"]!.GetValue<string>() == "ws").ShouldBeTrue(name);

        var channels = (JsonObject)Document.Root["channels"]!;
        foreach (var (name, channel) in channels)
        {
            channel!["address"]!.GetValue<string>().ShouldBe(DriverProtocol.Path, name);
            channel["bindings"]!["ws"]!["headers"]!["properties"]!["Sec-WebSocket-Protocol"]!["const"]!.GetValue<string>().ShouldBe(DriverProtocol.SubProtocol);
            Names((JsonObject)channel["messages"]!).ShouldBe(Names(Document.Messages), "a message that no channel has");
        }

        foreach (var (name, operation) in Document.Operations)
        {
            operation!["action"]!.GetValue<string>().ShouldBeOneOf("send", "receive");
            foreach (var part in new[] { operation, operation["reply"] }.Where(part => part is not null))
            {
                part!["channel"]!["$ref"]!.GetValue<string>().ShouldBe("#/channels/driver", name);
                part["messages"]!.AsArray().ShouldAllBe(message => message!["$ref"]!.GetValue<string>().StartsWith("#/channels/driver/messages/"), name); // Of the channel, not of the components.
            }

            (Document.Operations[name]!["reply"] is null).ShouldBe(name == DriverMethods.Cancel, name);
        }

        foreach (var (name, message) in Document.Messages)
            ((string?)message!["payload"]!["type"]).ShouldBe("object", name);
        foreach (var (name, _) in (JsonObject)Document.At("#/components/schemas")!)
            Document.References().ShouldContain($"#/components/schemas/{name}");
    }

    private static async Task ToldAsync(HubServer server, DriverConnection connection, bool isMaster, long sequence)
    {
        server.Hub.Perform(HubServer.Tell(connection, isMaster, token: 7, sequence));
        await AnsweredAsync(server, sequence);
    }

    private static Task AnsweredAsync(HubServer server, long sequence) =>
        Eventually.HoldsAsync(() => server.All<Input.DriverAnswered>().Any(answer => answer.Sequence == sequence), () => $"no answer to {sequence}; {server.Log.Text}");

    private static IEnumerable<string> Names(JsonObject named) => named.Select(pair => pair.Key).Order(StringComparer.Ordinal);
}
