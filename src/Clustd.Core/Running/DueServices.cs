namespace Clustd.Core.Running;

/// <summary>
/// Which services are to be looked at, in the order of their names. Invariant of a pass: whoever is marked while it runs is still taken in it
/// if his turn has not come, and in the next one otherwise, as if every pass took all.
/// </summary>
internal sealed class DueServices
{
    private readonly SortedSet<ServiceName> _next = [];
    private readonly List<ServiceName> _pass = [];
    private int _at = -1;

    /// <summary>All are due: what concerns each of them has changed.</summary>
    public bool IsAll { get; private set; } = true;

    /// <summary>Taken, or to be taken, in the present pass.</summary>
    public IReadOnlyList<ServiceName> Pass => _pass;

    public void Mark(ServiceName name)
    {
        if (_at < 0 || name.CompareTo(_pass[_at]) <= 0)
        {
            _next.Add(name);
        }
        else if (_pass.BinarySearch(_at, _pass.Count - _at, name, null) is var place and < 0)
        {
            _pass.Insert(~place, name);
        }
    }

    public void MarkAll() => IsAll = true;

    /// <summary>Marked for the next pass.</summary>
    public bool IsMarked(ServiceName name) => _next.Contains(name);

    /// <summary>Begins a pass over what is marked, and over `all` the services that there are, if given.</summary>
    public void Begin(SortedSet<ServiceName>? all)
    {
        IsAll = false;
        if (all is not null)
        {
            _next.UnionWith(all);
        }

        _pass.Clear();
        if (_next.Count > 0)
        {
            _pass.AddRange(_next);
            _next.Clear();
        }
    }

    public bool TryTake(out ServiceName name)
    {
        _at++;
        var isThere = _at < _pass.Count;
        name = isThere ? _pass[_at] : default;
        _at = isThere ? _at : -1;
        return isThere;
    }
}
