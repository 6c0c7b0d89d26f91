namespace Clustd.Peers;

/// <summary>
/// Lets each thing be said at most once a minute, and no more than a bounded number of different things: what strangers
/// send to an open port must not be able to fill a log or the memory.
/// </summary>
public sealed class Throttle(TimeProvider time)
{
    private const int SubjectsMax = 64;
    private static readonly TimeSpan Pause = TimeSpan.FromMinutes(1);

    private readonly Lock _gate = new();
    private readonly Dictionary<string, long> _lastSaid = new(StringComparer.Ordinal);

    /// <summary>True if <paramref name="subject"/> may be spoken of now; it may not be again for a minute.</summary>
    public bool MaySpeak(string subject)
    {
        lock (_gate)
        {
            var now = time.GetTimestamp();
            if (_lastSaid.TryGetValue(subject, out var last) && time.GetElapsedTime(last, now) < Pause)
            {
                return false;
            }

            if (_lastSaid.Count >= SubjectsMax)
            {
                foreach (var (old, _) in _lastSaid.Where(pair => time.GetElapsedTime(pair.Value, now) >= Pause).ToArray())
                {
                    _lastSaid.Remove(old);
                }
            }

            if (_lastSaid.Count >= SubjectsMax && !_lastSaid.ContainsKey(subject))
            {
                return false;
            }

            _lastSaid[subject] = now;
            return true;
        }
    }
}
