using System.Globalization;

namespace Clustd.Guard;

/// <summary>What a line on the driver's pipe says. Closed set; instants in µs on the machine's clock.</summary>
internal abstract record GuardOrder
{
    private GuardOrder() { }

    /// <summary><c>lease INSTANT</c></summary>
    public sealed record Lease(long End) : GuardOrder;

    /// <summary><c>stop INSTANT REASON</c>: TERM now; everything is to be gone at the instant.</summary>
    public sealed record Stop(long Limit, string Reason) : GuardOrder;

    /// <summary><c>kill</c>: TERM now, everything gone within the kill timeout.</summary>
    public sealed record Kill : GuardOrder;

    /// <summary><c>again</c>: put back what is not as it should be. For those who hold addresses.</summary>
    public sealed record Again : GuardOrder;

    /// <summary><c>hold DIRECTORY</c>: what is held runs in this cgroup. For those who hold what a manager outside runs.</summary>
    public sealed record Hold(string Directory) : GuardOrder;

    /// <summary>Null for a line that is none of these: a newer driver may say more than an older guard knows.</summary>
    public static GuardOrder? Parse(ReadOnlySpan<char> line)
    {
        int space = line.IndexOf(' ');
        var word = space < 0 ? line : line[..space];
        var rest = space < 0 ? [] : line[(space + 1)..];
        switch (word)
        {
            case "lease":
                return Instant(rest) is { } end ? new Lease(end) : null;
            case "stop":
                int next = rest.IndexOf(' ');
                return Instant(next < 0 ? rest : rest[..next]) is { } limit ? new Stop(limit, next < 0 ? "stopped" : rest[(next + 1)..].ToString()) : null;
            case "kill":
                return new Kill();
            case "again":
                return new Again();
            case "hold":
                return rest.IsEmpty ? null : new Hold(rest.ToString());
            default:
                return null;
        }
    }

    private static long? Instant(ReadOnlySpan<char> text) =>
        long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long instant) ? instant : null;
}
