using System.Text;
using System.Text.Json;
using Clustd.Core;
using Clustd.Core.Raft;
using Clustd.Core.Wire;
using Clustd.Peers;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Peers;

/// <summary>Two readers of one format: whatever the quick one takes, the serializer reads the same.</summary>
public sealed class HeartbeatMailTests
{
    private static readonly PeerMessage[] Heartbeats =
    [
        Message(new PeerBody.Append(new Term(3), new LogPosition(17, new Term(2)), [], 17, 4711, [new SessionAge(new SessionId(3), 20_417), new SessionAge(new SessionId(5), 0)], -1)),
        Message(new PeerBody.Append(new Term(3), new LogPosition(0, Term.Zero), [], 0, 1, [], 0)),
        Message(new PeerBody.AppendAnswer(new Term(3), true, 17, Term.Zero, 0, 4711, new Stamp(new SessionId(3), ulong.MaxValue, new Instant(98_765_432_101)), null)),
        Message(new PeerBody.AppendAnswer(new Term(3), false, 0, new Term(1), 9, 4711, default, null)),
        Message(new PeerBody.Echo(new Term(3), new SessionId(3), 12_345_678_901_234_567_890, new Instant(98_765_432_101), TimeSpan.FromSeconds(1), 17)),
    ];

    // A field that was added to one of the three makes this fail: then HeartbeatMail has to learn it, or heartbeats cost what they did before.
    [Fact]
    public void A_heartbeat_is_read_by_hand_and_as_the_serializer_reads_it()
    {
        foreach (var heartbeat in Heartbeats)
        {
            var bytes = PeerMail.Write(heartbeat);
            var read = HeartbeatMail.TryRead(bytes).ShouldNotBeNull(Encoding.UTF8.GetString(bytes));
            PeerMail.Write(read).ShouldBe(bytes);
        }
    }

    [Fact]
    public void Anything_else_is_left_to_the_serializer()
    {
        HeartbeatMail.TryRead(PeerMail.Write(Message(new PeerBody.TakeOver(new Term(3))))).ShouldBeNull();
        HeartbeatMail.TryRead(PeerMail.Write(Message(new PeerBody.AppendAnswer(new Term(3), true, 1, Term.Zero, 0, 1, default, new MachineReport(1, false, [], null))))).ShouldBeNull();
    }

    [Fact]
    public void A_heartbeat_is_written_by_hand_and_byte_for_byte_as_the_serializer_writes_it()
    {
        var room = new byte[2048];
        foreach (var heartbeat in Heartbeats)
        {
            HeartbeatWriter.TryWrite(heartbeat, room, out var length).ShouldBeTrue();
            Encoding.UTF8.GetString(room, 0, length).ShouldBe(Encoding.UTF8.GetString(PeerMail.Write(heartbeat)));
            PeerMail.WriteInPassing(heartbeat).ToArray().ShouldBe(PeerMail.Write(heartbeat));
        }
    }

    // Catches: a quick writer that forgets a field or a comma, writes a number as another one, runs over its room, or writes a name that wants escaping.
    [Property(MaxTest = 2000)]
    public Property What_is_written_by_hand_is_what_the_serializer_writes() => Prop.ForAll(
        (from kind in Gen.Choose(0, 2)
            from numbers in Gen.Elements(0L, 1L, -1L, 42L, long.MaxValue, long.MinValue, 9_999_999_999L).ListOf(6)
            from unsigned in Gen.Elements(0UL, 7UL, ulong.MaxValue)
            from ages in Gen.Elements(0L, 5L, long.MaxValue).ListOf()
            from room in Gen.Choose(0, 2048)
            from name in Gen.Elements("5d2c6f0e9b417a38", "store-1", "", "a\"b", "ü", "a b", "<x>", "null\0")
            select (kind, numbers, unsigned, ages, room, name)).ToArbitrary(),
        made =>
        {
            var n = made.numbers.ToArray();
            PeerBody body = made.kind switch
            {
                0 => new PeerBody.Append(new Term(n[0]), new LogPosition(n[1], new Term(n[2])), [], n[3], n[4], [.. made.ages.Select(age => new SessionAge(new SessionId(age), age))], n[5]),
                1 => new PeerBody.AppendAnswer(new Term(n[0]), n[1] > 0, n[2], new Term(n[3]), n[4], n[5], new Stamp(new SessionId(n[0]), made.unsigned, new Instant(n[1])), null),
                _ => new PeerBody.Echo(new Term(n[0]), new SessionId(n[1]), made.unsigned, new Instant(n[2]), TimeSpan.FromTicks(n[3]), n[4]),
            };
            var message = new PeerMessage(new ClusterId(made.name), new StoreId(made.name), body);
            var bytes = PeerMail.Write(message);
            var room = new byte[made.room];
            var isWritten = HeartbeatWriter.TryWrite(message, room, out var length);
            return isWritten ? room.AsSpan(0, length).SequenceEqual(bytes) : bytes.Length > made.room || !made.name.All(letter => char.IsAsciiLetterOrDigit(letter) || letter == '-');
        });

    [Fact]
    public void What_is_no_heartbeat_is_left_to_the_serializer_which_writes_it_all()
    {
        var report = Message(new PeerBody.AppendAnswer(new Term(3), true, 1, Term.Zero, 0, 1, default, new MachineReport(1, false, [], null)));
        HeartbeatWriter.TryWrite(report, new byte[2048], out _).ShouldBeFalse();
        PeerMail.WriteInPassing(report).ToArray().ShouldBe(PeerMail.Write(report));
        HeartbeatWriter.TryWrite(Message(new PeerBody.TakeOver(new Term(3))), new byte[2048], out _).ShouldBeFalse();
    }

    // Catches: a quick reader that takes what the serializer refuses (a missing field, a number out of range), or reads it as something else.
    [Property(MaxTest = 3000)]
    public Property What_it_takes_of_a_damaged_message_the_serializer_reads_the_same() => Prop.ForAll(
        (from heartbeat in Gen.Elements(Heartbeats) from place in Gen.Choose(0, 400) from put in Gen.Choose(0, 127) from kind in Gen.Choose(0, 2) select (heartbeat, place, put, kind)).ToArbitrary(),
        damage =>
        {
            var bytes = PeerMail.Write(damage.heartbeat).ToList();
            var place = damage.place % bytes.Count;
            if (damage.kind == 0) bytes[place] = (byte)damage.put;
            else if (damage.kind == 1) bytes.RemoveAt(place);
            else bytes.Insert(place, (byte)damage.put);
            var (quick, thorough) = (Quick([.. bytes]), Thorough([.. bytes]));
            return quick is null || quick == thorough;
        });

    private static string? Quick(byte[] bytes)
    {
        try
        {
            return HeartbeatMail.TryRead(bytes) is { } read ? Encoding.UTF8.GetString(PeerMail.Write(read)) : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static string? Thorough(byte[] bytes)
    {
        try
        {
            return JsonSerializer.Deserialize(bytes, CoreJson.Default.PeerMessage) is { } read ? Encoding.UTF8.GetString(PeerMail.Write(read)) : null;
        }
        catch (Exception e) when (e is JsonException or NotSupportedException or InvalidOperationException or FormatException or OverflowException)
        {
            return "refused";
        }
    }

    private static PeerMessage Message(PeerBody body) => new(new ClusterId("5d2c6f0e9b417a38"), new StoreId("store-1"), body);
}
