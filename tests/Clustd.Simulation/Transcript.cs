namespace Clustd.Simulation;

/// <summary>What happened, to be read as a story. Lines are made only when somebody reads them: a run makes millions.</summary>
/// <param name="live">Is told everything as it happens.</param>
/// <param name="kept">How many of the last lines are kept for <see cref="Tail"/>.</param>
/// <param name="isWorthKeeping">Which; null: all.</param>
internal sealed class Transcript(TextWriter? live, int kept = 60, Func<string, object, bool>? isWorthKeeping = null)
{
    private readonly (long Time, string Who, object What)[] _ring = new (long, string, object)[kept];
    private long _count;

    /// <summary>Is told everything as it happens.</summary>
    public Action<long, string, object>? Heard { get; init; }

    /// <summary>Noted: worth reading. What is turned into a sentence by <see cref="Story.Tell"/>.</summary>
    public void Note(long time, string who, object what)
    {
        if (isWorthKeeping is null || isWorthKeeping(who, what))
        {
            _ring[_count++ % kept] = (time, who, what);
        }

        live?.WriteLine(Line(time, who, what));
        Heard?.Invoke(time, who, what);
    }

    public IEnumerable<string> Tail()
    {
        for (var i = Math.Max(0, _count - kept); i < _count; i++)
        {
            var (time, who, what) = _ring[i % kept];
            yield return Line(time, who, what);
        }
    }

    private static string Line(long time, string who, object what) =>
        string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{time / 1e6,12:0.000000}  {who,-6} {Story.Tell(what)}");
}
