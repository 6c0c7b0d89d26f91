namespace Clustd.Simulation;

/// <summary>What happened, to be read as a story. Lines are made only when somebody reads them: a run makes millions.</summary>
internal sealed class Transcript(TextWriter? live)
{
    private const int Kept = 60;
    private readonly (long Time, string Who, object What)[] _ring = new (long, string, object)[Kept];
    private long _count;

    /// <summary>Is told everything as it happens.</summary>
    public Action<long, string, object>? Heard { get; init; }

    /// <summary>Noted: worth reading. What is turned into a sentence by <see cref="Story.Tell"/>.</summary>
    public void Note(long time, string who, object what)
    {
        _ring[_count++ % Kept] = (time, who, what);
        live?.WriteLine(Line(time, who, what));
        Heard?.Invoke(time, who, what);
    }

    public IEnumerable<string> Tail()
    {
        for (var i = Math.Max(0, _count - Kept); i < _count; i++)
        {
            var (time, who, what) = _ring[i % Kept];
            yield return Line(time, who, what);
        }
    }

    private static string Line(long time, string who, object what) =>
        string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{time / 1e6,12:0.000000}  {who,-6} {Story.Tell(what)}");
}
