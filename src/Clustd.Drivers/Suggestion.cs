namespace Clustd.Drivers;

/// <summary>"Did you mean ...": the nearest of the known words by edit distance, or none if all are far.</summary>
internal static class Suggestion
{
    public static string? Nearest(string word, IEnumerable<string> known)
    {
        // A word of hundreds of letters is no typing error, and the distance costs the product of the lengths.
        if (word.Length is 0 or > 64) return null;
        var lower = word.ToLowerInvariant().Replace('-', '_');
        var best = known.Select(k => (Word: k, Distance: Distance(lower, k.ToLowerInvariant()))).OrderBy(c => c.Distance).FirstOrDefault();
        return best.Word is not null && best.Distance <= Math.Max(1, best.Word.Length / 3) ? best.Word : null;
    }

    /// <summary>Edits (insert, delete, replace, swap two neighbours) from one word to the other. Optimal string alignment.</summary>
    public static int Distance(string a, string b)
    {
        var d = new int[a.Length + 1, b.Length + 1];
        for (var i = 0; i <= a.Length; i++) d[i, 0] = i;
        for (var j = 0; j <= b.Length; j++) d[0, j] = j;
        for (var i = 1; i <= a.Length; i++)
        {
            for (var j = 1; j <= b.Length; j++)
            {
                var replaced = d[i - 1, j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
                d[i, j] = Math.Min(replaced, Math.Min(d[i - 1, j], d[i, j - 1]) + 1);
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) d[i, j] = Math.Min(d[i, j], d[i - 2, j - 2] + 1);
            }
        }
        return d[a.Length, b.Length];
    }
}
