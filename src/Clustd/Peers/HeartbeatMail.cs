using System.Collections.Immutable;
using System.Text.Json;
using Clustd.Core;
using Clustd.Core.Raft;

namespace Clustd.Peers;

/// <summary>
/// Reads the three messages that make a heartbeat: Append without entries, its answer without a report, Echo. They are nearly all that an idle machine
/// reads, and the serializer, which boxes every field of a constructor, took 30 µs for each: a fifth of what an idle daemon cost.
/// </summary>
/// <remarks>
/// It takes only the very form that <see cref="PeerMail.Write"/> makes, and gives up on anything else: the serializer then decides. So it can be slower
/// than hoped for, after a field was added, but not of another opinion.
/// </remarks>
internal static class HeartbeatMail
{
    /// <summary>Null: this is something else, or nothing at all.</summary>
    /// <exception cref="JsonException">No JSON.</exception>
    public static PeerMessage? TryRead(ReadOnlySpan<byte> bytes)
    {
        var fields = new Fields(bytes);
        if (!fields.Begin() || !fields.Text("cluster"u8, out var cluster) || !fields.Text("sender"u8, out var sender) || !fields.Named("body"u8) || !fields.Begin() || !fields.Property("type"u8))
        {
            return null;
        }

        PeerBody? body = fields.Is("append"u8) ? Append(ref fields)
            : fields.Is("append-answer"u8) ? AppendAnswer(ref fields)
            : fields.Is("echo"u8) ? Echo(ref fields)
            : null;
        return body is not null && fields.End() && fields.End() && fields.IsOver ? new PeerMessage(new ClusterId(cluster), new StoreId(sender), body) : null;
    }

    private static PeerBody.Append? Append(ref Fields fields)
    {
        if (!fields.Number("term"u8, out var term) || !fields.Named("previous"u8) || !fields.Begin() || !fields.Number("index"u8, out var previousIndex) || !fields.Number("term"u8, out var previousTerm)
            || !fields.End() || !fields.Named("entries"u8) || !fields.BeginList() || !fields.EndList() || !fields.Number("commit"u8, out var commit) || !fields.Number("round"u8, out var round)
            || !fields.Named("ages"u8) || !fields.BeginList())
        {
            return null;
        }

        var ages = ImmutableArray.CreateBuilder<SessionAge>();
        while (!fields.EndList())
        {
            if (!fields.IsBegin || !fields.Number("session"u8, out var session) || !fields.Number("ageMicroseconds"u8, out var age) || !fields.End())
            {
                return null;
            }

            ages.Add(new SessionAge(new SessionId(session), age));
        }

        return fields.Number("knownReport"u8, out var knownReport)
            ? new PeerBody.Append(new Term(term), new LogPosition(previousIndex, new Term(previousTerm)), [], commit, round, ages.DrainToImmutable(), knownReport)
            : null;
    }

    private static PeerBody.AppendAnswer? AppendAnswer(ref Fields fields) =>
        fields.Number("term"u8, out var term) && fields.Truth("success"u8, out var success) && fields.Number("matchIndex"u8, out var matchIndex)
        && fields.Number("conflictTerm"u8, out var conflictTerm) && fields.Number("conflictIndex"u8, out var conflictIndex) && fields.Number("round"u8, out var round)
        && fields.Named("stamp"u8) && fields.Begin() && fields.Number("session"u8, out var session) && fields.Unsigned("incarnation"u8, out var incarnation) && fields.Number("at"u8, out var at) && fields.End()
        && fields.Nothing("report"u8)
            ? new PeerBody.AppendAnswer(new Term(term), success, matchIndex, new Term(conflictTerm), conflictIndex, round, new Stamp(new SessionId(session), incarnation, new Instant(at)), null)
            : null;

    private static PeerBody.Echo? Echo(ref Fields fields) =>
        fields.Number("term"u8, out var term) && fields.Number("session"u8, out var session) && fields.Unsigned("incarnation"u8, out var incarnation) && fields.Number("at"u8, out var at)
        && fields.Number("lease"u8, out var lease) && lease is > 0 and < long.MaxValue / TimeSpan.TicksPerMicrosecond && fields.Number("index"u8, out var index)
            ? new PeerBody.Echo(new Term(term), new SessionId(session), incarnation, new Instant(at), TimeSpan.FromTicks(lease * TimeSpan.TicksPerMicrosecond), index)
            : null;

    /// <summary>Expects one token after the other; false as soon as something else is there.</summary>
    private ref struct Fields(ReadOnlySpan<byte> bytes)
    {
        private Utf8JsonReader _reader = new(bytes);

        public bool IsOver => !_reader.Read();

        public readonly bool IsBegin => _reader.TokenType == JsonTokenType.StartObject;

        public bool Begin() => _reader.Read() && IsBegin;

        public bool End() => _reader.Read() && _reader.TokenType == JsonTokenType.EndObject;

        public bool BeginList() => _reader.Read() && _reader.TokenType == JsonTokenType.StartArray;

        /// <summary>False: the next element is there instead, and has begun.</summary>
        public bool EndList() => _reader.Read() && _reader.TokenType == JsonTokenType.EndArray;

        public bool Named(ReadOnlySpan<byte> name) => _reader.Read() && _reader.TokenType == JsonTokenType.PropertyName && _reader.ValueTextEquals(name);

        /// <summary>What the value of the <see cref="Property"/> before it is.</summary>
        public readonly bool Is(ReadOnlySpan<byte> text) => _reader.TokenType == JsonTokenType.String && _reader.ValueTextEquals(text);

        public bool Text(ReadOnlySpan<byte> name, out string value)
        {
            var isText = Property(name) && _reader.TokenType == JsonTokenType.String;
            value = isText ? _reader.GetString()! : "";
            return isText;
        }

        public bool Number(ReadOnlySpan<byte> name, out long value)
        {
            value = 0;
            return Property(name) && _reader.TokenType == JsonTokenType.Number && _reader.TryGetInt64(out value);
        }

        public bool Unsigned(ReadOnlySpan<byte> name, out ulong value)
        {
            value = 0;
            return Property(name) && _reader.TokenType == JsonTokenType.Number && _reader.TryGetUInt64(out value);
        }

        public bool Truth(ReadOnlySpan<byte> name, out bool value)
        {
            var isTruth = Property(name) && (_reader.TokenType is JsonTokenType.True or JsonTokenType.False);
            value = isTruth && _reader.TokenType == JsonTokenType.True;
            return isTruth;
        }

        public bool Nothing(ReadOnlySpan<byte> name) => Property(name) && _reader.TokenType == JsonTokenType.Null;

        /// <summary>The property and its value, which is then compared or taken.</summary>
        public bool Property(ReadOnlySpan<byte> name) => _reader.Read() && _reader.TokenType == JsonTokenType.PropertyName && _reader.ValueTextEquals(name) && _reader.Read();
    }
}
