using System.Buffers;
using System.Buffers.Text;
using Clustd.Core.Raft;

namespace Clustd.Peers;

/// <summary>
/// Writes the three messages that make a heartbeat (see <see cref="HeartbeatMail"/>) byte for byte as the serializer does, which took 30 µs for each: it looks up
/// the type, boxes and asks a converter for every field. Anything else is left to it.
/// </summary>
internal ref struct HeartbeatWriter
{
    // What the serializer writes as it stands. Names of clusters and stores are made of nothing else; another one is no mistake, only slower.
    private static readonly SearchValues<char> Plain = SearchValues.Create("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_.");

    private readonly Span<byte> _into;
    private int _length;
    private bool _isFull;

    private HeartbeatWriter(Span<byte> into) => _into = into;

    /// <summary>False: this is something else, or has no room.</summary>
    public static bool TryWrite(PeerMessage message, Span<byte> into, out int length)
    {
        length = 0;
        if (message.Cluster.Value.AsSpan().ContainsAnyExcept(Plain) || message.Sender.Value.AsSpan().ContainsAnyExcept(Plain))
        {
            return false;
        }

        var writer = new HeartbeatWriter(into);
        writer.Put("{\"cluster\":\""u8);
        writer.Put(message.Cluster.Value);
        writer.Put("\",\"sender\":\""u8);
        writer.Put(message.Sender.Value);
        writer.Put("\",\"body\":{\"type\":\""u8);
        switch (message.Body)
        {
            case PeerBody.Append { Entries.IsEmpty: true } append:
                writer.Put(append);
                break;
            case PeerBody.AppendAnswer { Report: null } answer:
                writer.Put(answer);
                break;
            case PeerBody.Echo echo:
                writer.Put(echo);
                break;
            default:
                return false;
        }

        writer.Put("}}"u8);
        length = writer._length;
        return !writer._isFull;
    }

    private void Put(PeerBody.Append append)
    {
        Put("append\",\"term\":"u8, append.Term.Value);
        Put(",\"previous\":{\"index\":"u8, append.Previous.Index);
        Put(",\"term\":"u8, append.Previous.Term.Value);
        Put("},\"entries\":[],\"commit\":"u8, append.Commit);
        Put(",\"round\":"u8, append.Round);
        Put(",\"ages\":["u8);
        for (var i = 0; i < append.Ages.Length; i++)
        {
            Put(i == 0 ? "{\"session\":"u8 : ",{\"session\":"u8, append.Ages[i].Session.Value);
            Put(",\"ageMicroseconds\":"u8, append.Ages[i].AgeMicroseconds);
            Put("}"u8);
        }

        Put("],\"knownReport\":"u8, append.KnownReport);
    }

    private void Put(PeerBody.AppendAnswer answer)
    {
        Put("append-answer\",\"term\":"u8, answer.Term.Value);
        Put(answer.Success ? ",\"success\":true,\"matchIndex\":"u8 : ",\"success\":false,\"matchIndex\":"u8, answer.MatchIndex);
        Put(",\"conflictTerm\":"u8, answer.ConflictTerm.Value);
        Put(",\"conflictIndex\":"u8, answer.ConflictIndex);
        Put(",\"round\":"u8, answer.Round);
        Put(",\"stamp\":{\"session\":"u8, answer.Stamp.Session.Value);
        Put(",\"incarnation\":"u8, answer.Stamp.Incarnation);
        Put(",\"at\":"u8, answer.Stamp.At.Microseconds);
        Put("},\"report\":null"u8);
    }

    private void Put(PeerBody.Echo echo)
    {
        Put("echo\",\"term\":"u8, echo.Term.Value);
        Put(",\"session\":"u8, echo.Session.Value);
        Put(",\"incarnation\":"u8, echo.Incarnation);
        Put(",\"at\":"u8, echo.At.Microseconds);
        Put(",\"lease\":"u8, echo.Lease.Ticks / TimeSpan.TicksPerMicrosecond);
        Put(",\"index\":"u8, echo.Index);
    }

    private void Put(ReadOnlySpan<byte> name, long number)
    {
        Put(name);
        _isFull |= !Utf8Formatter.TryFormat(number, _into[_length..], out var written);
        _length += written;
    }

    private void Put(ReadOnlySpan<byte> name, ulong number)
    {
        Put(name);
        _isFull |= !Utf8Formatter.TryFormat(number, _into[_length..], out var written);
        _length += written;
    }

    private void Put(ReadOnlySpan<byte> text)
    {
        var fits = text.TryCopyTo(_into[_length..]);
        _isFull |= !fits;
        _length += fits ? text.Length : 0;
    }

    private void Put(string plain)
    {
        var fits = System.Text.Ascii.FromUtf16(plain, _into[_length..], out var written) == OperationStatus.Done;
        _isFull |= !fits;
        _length += written;
    }
}
