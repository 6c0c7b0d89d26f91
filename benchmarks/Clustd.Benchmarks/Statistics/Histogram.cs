using System.Globalization;
using System.Text;

namespace Clustd.Benchmarks.Statistics;

/// <summary>A sample as text: a line per bin, a mark per value or so, and a line with dots where nothing was for a while.</summary>
public static class Histogram
{
    private const int BinsMax = 12;
    private const int BarCharsMax = 50;

    /// <param name="sample">In <paramref name="unit"/>s.</param>
    /// <param name="binAtLeast">No bin is narrower: what differs by less is noise.</param>
    public static string Text(Sample sample, double binAtLeast, string unit = "ms")
    {
        var width = BinWidth(sample.Max - sample.Min, binAtLeast);
        var first = Math.Floor(sample.Min / width);
        var counts = new int[(int)(Math.Floor(sample.Max / width) - first) + 1];
        foreach (var value in sample.Sorted) counts[(int)(Math.Floor(value / width) - first)]++;

        var perMark = Math.Max(1, (int)Math.Ceiling((double)counts.Max() / BarCharsMax));
        var digits = Math.Floor(sample.Max / width + 1) * width is var end ? end.ToString("0.##", CultureInfo.InvariantCulture).Length : 0;
        var text = new StringBuilder();
        for (var bin = 0; bin < counts.Length; bin++)
        {
            if (counts[bin] == 0)
            {
                if (counts[bin - 1] != 0) text.AppendLine(new string(' ', digits) + " ...");
                continue;
            }

            string Edge(double number) => (number * width).ToString("0.##", CultureInfo.InvariantCulture).PadLeft(digits);
            text.AppendLine(CultureInfo.InvariantCulture, $"{Edge(first + bin)} to {Edge(first + bin + 1)} {unit}  {new string('#', (counts[bin] + perMark - 1) / perMark)} {counts[bin]}");
        }

        return text.ToString();
    }

    // 1, 2 or 5 times a power of ten.
    private static double BinWidth(double span, double atLeast)
    {
        var needed = Math.Max(atLeast, span / BinsMax);
        var power = Math.Pow(10, Math.Floor(Math.Log10(needed)));
        return power * new[] { 1.0, 2, 5, 10 }.First(step => power * step >= needed * 0.999_999);
    }
}
