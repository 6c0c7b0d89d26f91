using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Clustd.Client.Connection;
using Clustd.Client.Protocol;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Clustd.Core.Wire;
using Clustd.Drivers.Cloudflare;
using Clustd.Drivers.Dns;
using Clustd.Drivers.Processes;
using Clustd.Guard;
using Clustd.Http;
using Clustd.Hub;
using Clustd.Peers;
using Microsoft.AspNetCore.Http;
using Shouldly;

namespace Clustd.Tests.Decoders;

/// <summary>Every door for bytes from elsewhere but the configuration's and the store's, which have tests of their own.</summary>
internal static class AllDecoders
{
    // An explicit null may be in what a driver says, whatever the type promises: whoever reads it looks, so it is not written again.
    private static readonly byte[] Answered = [0];

    public static readonly IReadOnlyList<Decoder> List =
    [
        // Machines to each other.
        Decoder.Of<PeerMessage>("peer message", PeerMail.Write, bytes => PeerMail.TryRead(bytes, out var message, out var problem) ? message : NoneBut(problem)),
        Decoder.Of<PeerControl>("peer control", control => control.Encode(), Control),
        Decoder.Of<ClusterState>("snapshot", SnapshotBytes.Write, Snapshot),

        // The log, as the store and Append hold it. The store catches what OfJson catches.
        Decoder.OfJson("command", CoreJson.Default.Command),
        Decoder.OfJson("log entry", CoreJson.Default.LogEntry),
        Decoder.OfJson("hard state", CoreJson.Default.HardState),
        Decoder.OfJson("request", CoreJson.Default.Request),

        // Drivers and daemon, both ways: the envelope, then what is in it.
        new Decoder("rpc envelope", random => Envelope(random, ProtocolJson.Default.RegisterParams), bytes => RpcSocket.Parse(bytes) is { } message ? Write(message with { Params = null, Result = null }) : null),
        Params(ProtocolJson.Default.HelloParams),
        Params(ProtocolJson.Default.AuthenticateParams),
        Params(ProtocolJson.Default.RegisterParams),
        Params(ProtocolJson.Default.RenewParams),
        Params(ProtocolJson.Default.StoppedParams),
        Params(ProtocolJson.Default.FailedParams),
        Params(ProtocolJson.Default.HealthParams),
        Params(ProtocolJson.Default.EventParams),
        Params(ProtocolJson.Default.TriggerParams),
        Params(ProtocolJson.Default.CancelParams),
        Result(ProtocolJson.Default.HelloResult),
        Result(ProtocolJson.Default.RegisterResult),
        Result(ProtocolJson.Default.RenewResult),
        new Decoder("registration", random => Envelope(random, ProtocolJson.Default.RegisterParams), Registration),
        Decoder.OfText("nonce", _ => Handshake.NewNonce(), text => Handshake.IsNonce(text) ? text : null),
        Decoder.OfText("upgrade answer", _ => $"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {AcceptMark}\r\nSec-WebSocket-Protocol: clustd.v1\r\n\r\n", Upgrade),
        Decoder.OfText("daemon address", random => new[] { "ws://127.0.0.1:3001", "[::1]:3001", "ws://host/v1/driver?x=1", "localhost" }[random.Next(4)], Address),

        // Name servers, and whoever else sends to the port: also what a signature says is looked at.
        new Decoder("dns answer", random => DnsAnswer(random), DnsAnswer),
        Decoder.OfText("dns fence", random => NameFence.New("web", random.NextInt64(1L << 53), "cm-1", random.Next(2) == 0).ToString(), text => NameFence.Parse(text)?.ToString()),

        new Decoder("cloudflare answer", _ => """{"result":[{"id":"a","type":"A","name":"a.b","content":"10.0.0.1","ttl":60,"proxied":false,"comment":"clustd: web, token 7, cm-1"}],"success":true,"errors":[{"code":1,"message":"x","error_chain":[{"code":2,"message":"y"}]}]}"""u8.ToArray(), CloudflareAnswer),

        // People and programs.
        Body(ApiJson.Default.MoveBody),
        Body(ApiJson.Default.DrainBody),
        Body(ApiJson.Default.PauseBody),
        Body(ApiJson.Default.TransferLeadershipBody),
        Body(ApiJson.Default.MachineBody),
        Body(ApiJson.Default.GoodbyeBody),

        // Driver and guard.
        Decoder.OfJson("guard spec", GuardSpecJson.Default.GuardSpec),
        Decoder.OfText("guard order", random => new[] { $"lease {random.NextInt64()}", $"stop {random.NextInt64()} because of it", "kill", "stop 5" }[random.Next(4)], Order),
        Decoder.OfText("one line", _ => "a reason, é🙂", OneLine),
    ];

    private const string AcceptMark = "ACCEPT";

    private static readonly TsigKey DnsKey = new(DnsName.Parse("clustd", out _)!, "hmac-sha256", [1, 2, 3]);

    private static byte[] DnsAnswer(Random random)
    {
        DnsName name = DnsName.Parse("www.example.test", out _)!;
        DnsRecord[] answers = [new(name, DnsType.A, DnsClass.In, 30, [10, 0, 0, 1]), new(name, DnsType.Cname, DnsClass.In, 30, name.Wire.ToArray()), new(name, DnsType.Txt, DnsClass.In, 30, NameFence.New("web", 7, "cm-1").ToData())];
        return Tsig.Sign(DnsWriter.Write(DnsMessage.Query((ushort)random.Next(65536), name, DnsType.A) with { Flags = 0x8400, Answers = answers[..random.Next(4)] }), DnsKey, 1_000, out _);
    }

    private static byte[]? DnsAnswer(byte[] bytes)
    {
        try
        {
            DnsMessage read = DnsReader.Read(bytes);
            Tsig.Check(bytes, read, DnsKey, [1], 1_000).IsGenuine.ShouldBeFalse(); // the answer to no request of ours
            foreach (DnsRecord record in read.Answers)
            {
                WantedRecords.Show([record]).ShouldNotBeEmpty();
                if (NameFence.TextOf(record.Data) is { } text) NameFence.Parse(text);
            }
            return DnsWriter.Write(read);
        }
        catch (DnsFormatException)
        {
            return null;
        }
    }

    private static byte[]? CloudflareAnswer(byte[] bytes)
    {
        if (CloudflareApi.Parse(bytes, CloudflareJson.Default.Records) is not { } answer) return null;
        var records = (answer.Result ?? []).OfType<CloudflareRecord>().ToList();
        RecordOwner.Of(records)?.WhyNot("web", 1);
        WantedRecord.IsThere(records, records);
        WantedRecord.Changes(records, [new CloudflareRecord { Type = "A", Content = "10.0.0.2" }], new RecordOwner("web", 7, "cm-1"));
        (WantedRecord.Show(records) + CloudflareRefusals.Of("read", System.Net.HttpStatusCode.Forbidden, [.. CloudflareRefusals.Flat(answer.Errors)], null).Message).Any(char.IsControl).ShouldBeFalse();
        return JsonSerializer.SerializeToUtf8Bytes(answer, CloudflareJson.Default.Records);
    }

    // Refused is refused with a word.
    private static PeerMessage? NoneBut(string problem)
    {
        problem.ShouldNotBeEmpty();
        return null;
    }

    private static PeerControl? Control(byte[] bytes)
    {
        try
        {
            return PeerControl.Decode(bytes);
        }
        catch (PeerProtocolException)
        {
            return null;
        }
    }

    // The checksum is right: damage that happened before the bytes were sent. For the other kind the checksum stands.
    private static ClusterState? Snapshot(byte[] bytes)
    {
        SnapshotBytes.Read(bytes, SnapshotBytes.Checksum(bytes) ^ 1, default, out var mismatch).ShouldBeNull();
        mismatch.ShouldContain("checksum");
        var position = default(LogPosition);
        try
        {
            using var document = JsonDocument.Parse(bytes);
            position = new LogPosition(document.RootElement.GetProperty("appliedIndex").GetInt64(), new Term(document.RootElement.GetProperty("appliedTerm").GetInt64()));
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or KeyNotFoundException)
        {
        }

        var state = SnapshotBytes.Read(bytes, SnapshotBytes.Checksum(bytes), position, out var problem);
        (state is null).ShouldBe(problem.Length > 0);
        return state;
    }

    private static Decoder Params<T>(JsonTypeInfo<T> type)
        where T : class =>
        new(typeof(T).Name, random => Envelope(random, type), bytes =>
            RpcSocket.Parse(bytes) is { } message && message.ReadParams(type) is not null ? Answered : null);

    private static Decoder Result<T>(JsonTypeInfo<T> type)
        where T : class =>
        new(typeof(T).Name, random => Write(new RpcMessage { Id = Element(random.NextInt64(), ProtocolJson.Default.Int64), Result = Element(Any<T>(random), type) }), bytes =>
            RpcSocket.Parse(bytes) is { } message && message.ReadResult(type) is not null ? Answered : null);

    private static byte[] Envelope<T>(Random random, JsonTypeInfo<T> type)
        where T : class => Write(RpcMessage.Request(random.NextInt64(), typeof(T).Name, Any<T>(random), type));

    private static T Any<T>(Random random) => (T)new AnyValue(random).Of(typeof(T));

    private static JsonElement Element<T>(T value, JsonTypeInfo<T> type) => JsonSerializer.SerializeToElement(value, type);

    private static byte[] Write(RpcMessage message) => JsonSerializer.SerializeToUtf8Bytes(message, ProtocolJson.Default.RpcMessage);

    // Any answer will do but an exception; what is taken is within its bounds, because the decision loop adds it to its clock.
    private static byte[]? Registration(byte[] bytes)
    {
        if (RpcSocket.Parse(bytes) is not { } message) return null;
        var said = message.ReadParams(ProtocolJson.Default.RegisterParams);
        var (registration, problem) = RegistrationReader.Read(said);
        (registration is null).ShouldBe(problem is not null);
        if (registration is null)
        {
            problem.ShouldNotBeNull().ShouldStartWith("Cannot register");
            return Answered; // in three parts
        }

        (registration.StopTimeout ?? TimeSpan.Zero).ShouldBeInRange(TimeSpan.Zero, RegistrationReader.TimeoutMax);
        (registration.KillTimeout ?? TimeSpan.Zero).ShouldBeInRange(TimeSpan.Zero, RegistrationReader.TimeoutMax);
        registration.States.ShouldAllBe(state => state.Token.Value >= 0);
        return Write(RpcMessage.Request(1, "RegisterParams", said!, ProtocolJson.Default.RegisterParams));
    }

    private static string? Upgrade(string text)
    {
        using var stream = new AnsweringStream(text);
        try
        {
            using var socket = WebSocketUpgrade.Request(stream, new DaemonAddress("127.0.0.1", 3001, "/v1/driver"));
            return text;
        }
        catch (Exception e) when (e is InvalidDataException or IOException)
        {
            e.Message.Any(char.IsControl).ShouldBeFalse(e.Message);
            return null;
        }
    }

    private static string? Address(string text)
    {
        try
        {
            return DaemonAddress.Parse(text) is { } address ? $"ws://{address}{address.Path}" : null;
        }
        catch (ArgumentException e)
        {
            e.Message.ShouldStartWith("Cannot use");
            return null;
        }
    }

    private static Decoder Body<T>(JsonTypeInfo<T> type)
        where T : class =>
        new(typeof(T).Name, random => JsonSerializer.SerializeToUtf8Bytes(Any<T>(random), type), bytes =>
        {
            try
            {
                var body = ApiBody.ReadAsync(new DefaultHttpContext { Request = { Body = new MemoryStream(bytes) } }, type).GetAwaiter().GetResult();
                var again = JsonSerializer.SerializeToUtf8Bytes(body, type);
                // Letters that are escaped when it is written may make it longer than what may come in.
                return again.Length <= ApiBody.BytesMax ? again : Answered;
            }
            catch (ApiBodyException)
            {
                return null;
            }
        });

    private static string? OneLine(string text)
    {
        var line = BoundedText.OneLine(text, "-");
        line.ShouldNotBeEmpty();
        line.Any(char.IsControl).ShouldBeFalse();
        Encoding.UTF8.GetByteCount(line).ShouldBeLessThanOrEqualTo(BoundedText.ReasonBytesMax);
        return "taken";
    }

    private static string? Order(string text) => GuardOrder.Parse(text) switch
    {
        GuardOrder.Lease lease => $"lease {lease.End}",
        GuardOrder.Stop stop => $"stop {stop.Limit} {stop.Reason}",
        GuardOrder.Kill => "kill",
        _ => null,
    };

    /// <summary>Answers whoever asks to upgrade, with the key that it asked for in the place of the mark.</summary>
    private sealed class AnsweringStream(string answer) : Stream
    {
        private Stream _answer = Null;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            var key = Encoding.ASCII.GetString(buffer).Split("\r\n").First(line => line.StartsWith("Sec-WebSocket-Key: ", StringComparison.Ordinal))["Sec-WebSocket-Key: ".Length..];
            _answer = new MemoryStream(Encoding.UTF8.GetBytes(answer.Replace(AcceptMark, WebSocketUpgrade.AcceptOf(key), StringComparison.Ordinal)));
        }

        public override int Read(byte[] buffer, int offset, int count) => _answer.Read(buffer, offset, count);

        public override int Read(Span<byte> buffer) => _answer.Read(buffer);

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
