using System.Buffers.Binary;

namespace Clustd.Store;

/// <summary>
/// Looks at the write-ahead log before SQLite does. For SQLite a frame with a wrong checksum is the end of the log, and all commits behind
/// it are silently gone: right after a power cut, when that frame was under way, and wrong when a bit has flipped in what was acknowledged
/// (a vote, say). The two are told apart by what follows: each commit is on disk before the next begins, so a power cut leaves at most one
/// commit frame from the broken frame on. Two mean damage. Damage in the very last commit cannot be told from a power cut, by anybody.
/// Source: https://www.sqlite.org/fileformat2.html#walformat
/// </summary>
internal static class WalVerification
{
    private const int HeaderBytes = 32;
    private const int FrameHeaderBytes = 24;
    private const uint Magic = 0x377F0682; // the lowest bit says whether checksums read words big-endian

    /// <summary>Null when the log is sound or ends as a power cut leaves it; else half a sentence about the damage.</summary>
    public static string? FindDamage(ReadOnlySpan<byte> log)
    {
        if (log.Length <= HeaderBytes || log.IndexOfAnyExcept((byte)0) < 0)
        {
            return null; // just created: the header is made durable before the first frame
        }

        var header = log[..HeaderBytes];
        var bigEndian = (Word(header, 0) & 1) == 1;
        var pageBytes = Word(header, 8);
        var sum = Sum(header[..24], bigEndian, (0, 0));
        if ((Word(header, 0) & ~1u) != Magic || sum != (Word(header, 24), Word(header, 28)) || pageBytes is < 512 or > 65_536)
        {
            return "the header of its write-ahead log is not what was written";
        }

        var frameBytes = FrameHeaderBytes + (int)pageBytes;
        var count = (log.Length - HeaderBytes) / frameBytes;
        var valid = 0;
        for (; valid < count; valid++)
        {
            var frame = log.Slice(HeaderBytes + (valid * frameBytes), frameBytes);
            sum = Sum(frame[FrameHeaderBytes..], bigEndian, Sum(frame[..8], bigEndian, sum));
            if (MatchingSalts(header, frame) < 2 || sum != (Word(frame, 16), Word(frame, 20)))
            {
                break;
            }
        }

        // Frames of an earlier round of the log (it is overwritten from the start) have neither salt in common with the header.
        var commits = 0;
        for (var i = valid; i < count; i++)
        {
            var frame = log.Slice(HeaderBytes + (i * frameBytes), frameBytes);
            var isOfThisRound = MatchingSalts(header, frame) >= (i == valid ? 1 : 2);
            var isCommit = Word(frame, 4) != 0;
            commits += isOfThisRound && isCommit ? 1 : 0;
        }

        return commits >= 2 ? $"frame {valid + 1} of its write-ahead log is not what was written, and {commits} commits stand behind it" : null;
    }

    private static int MatchingSalts(ReadOnlySpan<byte> header, ReadOnlySpan<byte> frame) =>
        (Word(frame, 8) == Word(header, 16) ? 1 : 0) + (Word(frame, 12) == Word(header, 20) ? 1 : 0);

    private static uint Word(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt32BigEndian(bytes[offset..]);

    private static (uint First, uint Second) Sum(ReadOnlySpan<byte> bytes, bool bigEndian, (uint First, uint Second) sum)
    {
        var (first, second) = sum;
        for (var i = 0; i < bytes.Length; i += 8)
        {
            first = unchecked(first + Read(bytes[i..]) + second);
            second = unchecked(second + Read(bytes[(i + 4)..]) + first);
        }

        return (first, second);

        uint Read(ReadOnlySpan<byte> word) => bigEndian ? BinaryPrimitives.ReadUInt32BigEndian(word) : BinaryPrimitives.ReadUInt32LittleEndian(word);
    }
}
