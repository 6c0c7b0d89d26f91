namespace Clustd.Hub;

/// <summary>Lets <c>perSecond</c> pass, sustained, and <c>burst</c> at once. One caller at a time.</summary>
internal sealed class TokenBucket(TimeProvider time, int perSecond, int burst)
{
    private double _tokens = burst;
    private long _filledAt = time.GetTimestamp();

    public bool TryTake()
    {
        var now = time.GetTimestamp();
        _tokens = Math.Min(burst, _tokens + (time.GetElapsedTime(_filledAt, now).TotalSeconds * perSecond));
        _filledAt = now;
        if (_tokens < 1)
        {
            return false;
        }

        _tokens--;
        return true;
    }
}
