using System.Collections.Immutable;
using Clustd.Core.Cluster;

namespace Clustd.Core.Leading;

/// <summary>
/// To whom a confirmed round is echoed at once. Rule 4 is about machines that run something: to them every echo goes out as soon as the majority has answered. A machine
/// that runs nothing loses nothing by a hold that is a little shorter; it gets an echo every fifth of a lease, so that what it may be assigned can start at
/// once, and every echo again from then on. Half of what an idle cluster says to its standbys is echoes.
/// </summary>
internal sealed class EchoesDue(MachineId self, LeaseTiming timing)
{
    private readonly TimeSpan _idleInterval = timing.Heartbeat * 4;
    private readonly SortedDictionary<SessionId, (Instant At, ulong Incarnation)> _echoed = [];
    private ImmutableSortedDictionary<ServiceName, ServiceState>? _mastersOf;
    private ImmutableSortedSet<MachineId> _masters = [];

    /// <summary>A new leader has echoed nothing yet.</summary>
    public void Elected() => _echoed.Clear();

    /// <param name="incarnation">Of the daemon that made the newest stamp: one that has just come back waits for its first echo.</param>
    public bool IsDue(Session session, ClusterState state, ulong incarnation, Instant now) =>
        session.Machine == self || IsMaster(session.Machine, state)
        || !_echoed.TryGetValue(session.Id, out var last) || last.Incarnation != incarnation || now - last.At >= _idleInterval;

    public void Sent(SessionId session, ulong incarnation, Instant now) => _echoed[session] = (now, incarnation);

    public void Forget(SessionId session) => _echoed.Remove(session);

    private bool IsMaster(MachineId machine, ClusterState state)
    {
        if (!ReferenceEquals(_mastersOf, state.Services))
        {
            _mastersOf = state.Services;
            _masters = [.. state.Services.Values.Where(service => service.Assignment is not null).Select(service => service.Assignment!.Machine)];
        }

        return _masters.Contains(machine);
    }
}
