using Microsoft.Extensions.Logging;

namespace Clustd.Peers;

/// <summary>
/// The links of this machine, at most one per other machine, and the only place from where events leave: so they leave in
/// order. Decides which of two connections with the same machine stays.
/// </summary>
internal sealed partial class PeerTable(PeerNetworkOptions options, Action<PeerEvent> sink, Action received, ILogger logger, TimeProvider time)
{
    private readonly Lock _gate = new();
    private readonly SortedDictionary<string, PeerLink> _links = new(StringComparer.Ordinal); // by machine id
    private readonly Dictionary<string, long> _closedAt = new(StringComparer.Ordinal); // timestamps, by machine id
    private readonly Throttle _refusals = new(time);
    private PeerLink[] _published = []; // what _links holds, replaced as a whole
    private bool _closed;

    /// <summary>
    /// Takes no lock: the loop sends through this right after it was woken by a thread that still holds the lock, and would wait for it at every heartbeat.
    /// </summary>
    public PeerLink? Find(string machineId)
    {
        foreach (var link in Volatile.Read(ref _published))
        {
            if (link.MachineId == machineId)
            {
                return link;
            }
        }

        return null;
    }

    public IReadOnlyList<PeerLink> Links => Volatile.Read(ref _published);

    /// <summary>
    /// Takes the place of <paramref name="candidate"/>'s machine. The first connection stays as long as its process answers.
    /// </summary>
    /// <param name="weDecide">
    /// Both machines dial, so two connections may be ready at once, and both sides must keep the same one. The machine with the
    /// smaller id decides; the other one follows (false) and lets what was accepted replace what it still held: the decider has already
    /// given that up.
    /// </param>
    public async Task<PeerClaim> ClaimAsync(PeerLink candidate, bool weDecide)
    {
        while (true)
        {
            PeerLink? held;
            lock (_gate)
            {
                if (_closed)
                {
                    throw new OperationCanceledException("The network is closed.");
                }

                held = _links.GetValueOrDefault(candidate.MachineId);
                if (held is null || (!weDecide && held.Incarnation == candidate.Incarnation))
                {
                    if (held is not null)
                    {
                        Raise(new PeerEvent.PeerLost(held.MachineId, "a newer connection took its place"));
                    }

                    _links[candidate.MachineId] = candidate;
                    Publish();
                    Raise(new PeerEvent.PeerConnected(candidate.MachineId, candidate.Address, candidate.Incarnation));
                }
            }

            if (held is null)
            {
                return PeerClaim.Taken;
            }

            if (!weDecide && held.Incarnation == candidate.Incarnation)
            {
                held.End("a newer connection took its place");
                return PeerClaim.Taken;
            }

            if (await held.IsAliveAsync(options.ProbeTimeout))
            {
                return held.Incarnation == candidate.Incarnation ? PeerClaim.Duplicate : PeerClaim.Rival;
            }

            held.End("its process no longer answers there, and a newer connection came");
        }
    }

    /// <summary>The link held by another living process with this machine's id, or null. One that no longer answers is ended.</summary>
    public async Task<PeerLink?> FindRivalAsync(string machineId, ulong incarnation)
    {
        var held = Find(machineId);
        if (held is null || held.Incarnation == incarnation)
        {
            return null;
        }

        if (await held.IsAliveAsync(options.ProbeTimeout))
        {
            return held;
        }

        held.End("its process no longer answers, and a newer one came");
        return null;
    }

    public void Received(PeerLink link, ReadOnlyMemory<byte> message)
    {
        lock (_gate)
        {
            if (IsCurrent(link))
            {
                sink(new PeerEvent.PeerMessageReceived(link.MachineId, message));
            }
        }
    }

    /// <summary>All that came in one piece has been handed on. Outside of the lock: whoever hears it may send, and close connections.</summary>
    public void ReceivedAll() => received();

    /// <param name="link">Ended, for whatever reason; nothing happens if another one has its place already.</param>
    /// <param name="reason">Continues "lost cm-2: ".</param>
    /// <param name="onPurpose">One side closed it in order: both wait a little before they dial again.</param>
    public void Ended(PeerLink link, string reason, bool onPurpose)
    {
        lock (_gate)
        {
            if (IsCurrent(link))
            {
                Remove(link, reason, onPurpose);
            }
        }
    }

    /// <summary>Closes the link in order. It is lost, for us, from this moment.</summary>
    public void Close(string machineId, string reason)
    {
        PeerLink? link;
        lock (_gate)
        {
            if (!_links.TryGetValue(machineId, out link))
            {
                return;
            }

            Remove(link, $"closed by this machine: {reason}", onPurpose: true);
        }

        link.Close(reason, drain: false, options.ClosePause);
    }

    /// <summary>Takes no more links and says goodbye on those there are; what they still have to send goes first.</summary>
    public async Task CloseAllAsync(string reason)
    {
        PeerLink[] links;
        lock (_gate)
        {
            _closed = true;
            links = [.. _links.Values];
            foreach (var link in links)
            {
                Remove(link, $"closed by this machine: {reason}", onPurpose: true);
            }
        }

        foreach (var link in links)
        {
            link.Close(reason, drain: true, options.GoodbyeTimeout);
        }

        await Task.WhenAll(links.Select(link => link.Finished));
    }

    /// <summary>What is left of the pause after a close on purpose.</summary>
    public TimeSpan PauseLeft(string machineId)
    {
        lock (_gate)
        {
            if (!_closedAt.TryGetValue(machineId, out var closedAt))
            {
                return TimeSpan.Zero;
            }

            var left = options.ClosePause - time.GetElapsedTime(closedAt);
            return left > TimeSpan.Zero ? left : TimeSpan.Zero;
        }
    }

    public void Refused(string subject, string reason)
    {
        if (_refusals.MaySpeak($"{subject}: {reason}"))
        {
            lock (_gate)
            {
                Raise(new PeerEvent.PeerRefused(subject, reason));
            }
        }
    }

    public void Unreachable(PeerAddress address, string reason, string advice)
    {
        lock (_gate)
        {
            Raise(new PeerEvent.PeerUnreachable(address.ToString(), reason, advice));
        }
    }

    private void Publish() => Volatile.Write(ref _published, [.. _links.Values]);

    private bool IsCurrent(PeerLink link) => _links.GetValueOrDefault(link.MachineId) == link;

    private void Remove(PeerLink link, string reason, bool onPurpose)
    {
        _links.Remove(link.MachineId);
        Publish();
        if (onPurpose)
        {
            _closedAt[link.MachineId] = time.GetTimestamp();
        }

        Raise(new PeerEvent.PeerLost(link.MachineId, reason));
    }

    private void Raise(PeerEvent raised)
    {
        switch (raised)
        {
            case PeerEvent.PeerConnected connected:
                LogConnected(logger, connected.MachineId, connected.Address);
                break;
            case PeerEvent.PeerLost lost:
                LogLost(logger, lost.MachineId, lost.Reason);
                break;
            case PeerEvent.PeerUnreachable unreachable:
                LogUnreachable(logger, unreachable.Reason, unreachable.Advice);
                break;
            case PeerEvent.PeerRefused refused:
                LogRefused(logger, refused.Reason);
                break;
        }

        sink(raised);
    }

    [LoggerMessage(LogLevel.Information, "Connected with {Machine} at {Address}.")]
    private static partial void LogConnected(ILogger logger, string machine, string address);

    [LoggerMessage(LogLevel.Information, "Lost {Machine}: {Reason}.")]
    private static partial void LogLost(ILogger logger, string machine, string reason);

    [LoggerMessage(LogLevel.Information, "{Reason}; {Advice}.")]
    private static partial void LogUnreachable(ILogger logger, string reason, string advice);

    [LoggerMessage(LogLevel.Warning, "{Reason}")]
    private static partial void LogRefused(ILogger logger, string reason);
}

internal enum PeerClaim
{
    Taken,

    /// <summary>The same process has a living connection with us.</summary>
    Duplicate,

    /// <summary>Another living process has this machine id.</summary>
    Rival,
}
