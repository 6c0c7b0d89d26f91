using System.Text;

namespace Clustd.Cli;

/// <summary>Sentences on a screen: broken between words, the lines after the first moved in.</summary>
internal static class WrappedText
{
    /// <summary>The text in lines of at most `width` columns; the first is `indent` shorter, because something stands before it. A longer word stands alone.</summary>
    public static string Of(string text, int width, int indent)
    {
        var room = Math.Max(width - indent, 20);
        var lines = new StringBuilder();
        var column = 0;
        foreach (var word in text.Split(' '))
        {
            if (column > 0 && column + 1 + word.Length > room)
            {
                lines.Append('\n').Append(' ', indent);
                column = 0;
            }
            else if (column > 0)
            {
                lines.Append(' ');
                column++;
            }

            lines.Append(word);
            column += word.Length;
        }

        return lines.ToString();
    }
}
