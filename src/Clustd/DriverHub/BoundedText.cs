using System.Text;

namespace Clustd.Hub;

/// <summary>Text from a driver, made fit for a log line and an event: one line, of a bounded length.</summary>
internal static class BoundedText
{
    /// <summary>Errors and reasons go into sentences that every machine keeps, so they are kept short.</summary>
    public const int ReasonBytesMax = 1_024;

    /// <summary>The text as one line of at most <paramref name="bytesMax"/> bytes of UTF-8, cut between characters; <paramref name="otherwise"/> if nothing is left.</summary>
    public static string OneLine(string? text, string otherwise, int bytesMax = ReasonBytesMax)
    {
        var line = new StringBuilder();
        var bytes = 0;
        // Enumerating runes replaces lone surrogates, which no JSON of ours could carry further.
        foreach (var rune in (text ?? "").Trim().EnumerateRunes())
        {
            var shown = Rune.IsControl(rune) ? new Rune(' ') : rune;
            bytes += shown.Utf8SequenceLength;
            if (bytes > bytesMax)
            {
                break;
            }

            line.Append(shown.ToString());
        }

        return line.Length == 0 ? otherwise : line.ToString();
    }

    /// <summary>Whether the text can name something: not empty, not longer than <paramref name="charsMax"/>, and nothing in it that would break a line.</summary>
    public static bool IsName(string? text, int charsMax) =>
        text is { Length: > 0 } && text.Length <= charsMax && !text.EnumerateRunes().Any(rune => Rune.IsControl(rune) || rune == Rune.ReplacementChar);
}
