namespace Clustd.Core.Running;

/// <summary>When time alone changes what was found: at an instant, or so long after the lease of a driver, which is extended again and again meanwhile.</summary>
internal sealed class Deadlines
{
    private readonly List<(DriverInstance Driver, TimeSpan Grace)> _afterLease = [];
    private Instant _at = Instant.Never;

    public Instant Earliest
    {
        get
        {
            var earliest = _at;
            foreach (var (driver, grace) in _afterLease)
            {
                earliest = Instant.Min(earliest, driver.LeaseUntil + grace);
            }

            return earliest;
        }
    }

    public void Clear()
    {
        _at = Instant.Never;
        _afterLease.Clear();
    }

    public void Meet(Instant deadline) => _at = Instant.Min(_at, deadline);

    public void MeetAfterLease(DriverInstance driver, TimeSpan grace)
    {
        for (var i = 0; i < _afterLease.Count; i++)
        {
            if (ReferenceEquals(_afterLease[i].Driver, driver))
            {
                _afterLease[i] = (driver, grace < _afterLease[i].Grace ? grace : _afterLease[i].Grace);
                return;
            }
        }

        _afterLease.Add((driver, grace));
    }
}
