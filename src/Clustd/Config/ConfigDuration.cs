using System.Globalization;

namespace Clustd.Config;

/// <summary>Durations as people write them: "1s", "500ms", "1.5s", "2m", "1h". A unit is always there, so that nobody guesses.</summary>
public static class ConfigDuration
{
    /// <summary>Null if it is none; <paramref name="why"/> then says what is wrong with it.</summary>
    public static TimeSpan? Parse(string text, out string why)
    {
        var trimmed = text.Trim();
        var digits = trimmed.TakeWhile(c => char.IsAsciiDigit(c) || c == '.').Count();
        var (number, unit) = (trimmed[..digits], trimmed[digits..].Trim());
        if (unit.Length == 0 && digits > 0)
        {
            why = $"'{trimmed}' has no unit";
            return null;
        }
        decimal? seconds = unit switch { "ms" => 0.001m, "s" => 1m, "m" => 60m, "h" => 3600m, _ => null };
        // 12 characters hold every duration up to years to the microsecond, and keep the product far from overflow.
        if (seconds is null || digits is 0 or > 12 || !decimal.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var count))
        {
            why = $"'{trimmed}' is no duration";
            return null;
        }
        why = "";
        return TimeSpan.FromTicks((long)Math.Min(count * seconds.Value * TimeSpan.TicksPerSecond, long.MaxValue / 2));
    }

    /// <summary>The shortest text that reads back as the same duration: "1s", "1.531s", "500ms", "2m".</summary>
    public static string Text(TimeSpan duration)
    {
        var ms = duration.Ticks / (decimal)TimeSpan.TicksPerMillisecond;
        var (count, unit) = ms switch
        {
            0 => (0m, "s"),
            _ when ms % 3_600_000 == 0 => (ms / 3_600_000, "h"),
            _ when ms % 60_000 == 0 => (ms / 60_000, "m"),
            >= 1000 => (ms / 1000, "s"),
            _ => (ms, "ms"),
        };
        return count.ToString("0.####", CultureInfo.InvariantCulture) + unit;
    }
}
