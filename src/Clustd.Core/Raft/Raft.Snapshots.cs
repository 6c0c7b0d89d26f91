using Clustd.Core.Cluster;

namespace Clustd.Core.Raft;

/// <summary>
/// Snapshots (section 5): the leader's log does not hold what a follower needs next, so the follower gets the state in pieces. One piece is under way at
/// a time and heartbeats go on beside them, so a session outlives the transfer, however long it takes.
/// </summary>
public sealed partial class Raft
{
    // Some milliseconds on a slow line: a heartbeat that comes behind a piece is late by less than a heartbeat.
    private const int ChunkBytes = 48 * 1024;

    // More than a cluster of thousands of services can amount to; what claims to be larger is not taken.
    private const long SnapshotBytesMaximum = 64L * 1024 * 1024;

    private Incoming? _incoming;

    /// <summary>What all entries up to the log's <see cref="Log.Base"/> amount to; null while the log is whole.</summary>
    public ClusterState? Snapshot { get; private set; }

    private sealed record Incoming(LogPosition Position, long Length, long Checksum, List<byte> Bytes);

    private sealed class Transfer
    {
        public Transfer(ClusterState snapshot)
        {
            Position = snapshot.Position;
            Bytes = SnapshotBytes.Write(snapshot);
            Checksum = SnapshotBytes.Checksum(Bytes);
        }

        public LogPosition Position { get; }

        public byte[] Bytes { get; }

        public long Checksum { get; }

        public long Received { get; set; }

        /// <summary>Null: nothing is under way.</summary>
        public Instant? SentAt { get; set; }
    }

    /// <summary>A state that is applied here takes the place of the entries up to its index, which are durable here.</summary>
    public void Compact(ClusterState state)
    {
        Log.DropUpTo(state.AppliedIndex);
        Snapshot = state;
        MembershipOf(state);
        _disk.Compact(state);
    }

    /// <summary>A machine without a log belongs to the cluster that replicates to it: only a machine that its members name is replicated to.</summary>
    public void Join(ClusterId cluster)
    {
        if (!IsFormed)
        {
            Cluster = cluster;
        }
    }

    private bool NeedsSnapshot(PeerProgress progress) => progress.NextIndex <= Log.Base.Index;

    private void SendChunk(MachineId machine, PeerProgress progress, Instant now)
    {
        progress.Transfer ??= new Transfer(Snapshot!);
        var transfer = progress.Transfer;
        if (transfer.SentAt is { } sentAt && now - sentAt < _timing.Lease)
        {
            return; // The answer may still come.
        }

        transfer.SentAt = now;
        var count = (int)Math.Min(ChunkBytes, transfer.Bytes.Length - transfer.Received);
        var data = transfer.Bytes.AsSpan((int)transfer.Received, count).ToArray();
        Send(machine, new PeerBody.SnapshotChunk(Term, transfer.Position, transfer.Received, transfer.Bytes.Length, transfer.Checksum, data));
    }

    private void OnSnapshotAnswer(MachineId from, PeerBody.SnapshotAnswer answer, Instant now)
    {
        if (answer.Term > Term)
        {
            BecomeFollower(answer.Term, null, now);
            return;
        }

        if (!IsLeader || answer.Term != Term || !_peers.TryGetValue(from, out var progress) || progress.Transfer is not { } transfer
            || transfer.Position != answer.Position || answer.Received < 0 || answer.Received > transfer.Bytes.Length)
        {
            return;
        }

        progress.HeardAt = now;
        transfer.Received = answer.Received;
        transfer.SentAt = null;
        if (answer.Received < transfer.Bytes.Length)
        {
            SendChunk(from, progress, now);
            return;
        }

        progress.Transfer = null;
        progress.NextIndex = Math.Max(progress.NextIndex, answer.Position.Index + 1);
        SendAppend(from, progress, now);
    }

    private void OnSnapshotChunk(MachineId from, PeerBody.SnapshotChunk chunk, Instant now)
    {
        if (!HearLeader(from, chunk.Term, now))
        {
            return;
        }

        if (chunk.Position.Index <= CommitIndex || Log.Has(chunk.Position.Index, chunk.Position.Term))
        {
            _incoming = null;
            _matchedIndex = Math.Max(_matchedIndex, Math.Min(chunk.Position.Index, Log.LastIndex));
            Send(from, new PeerBody.SnapshotAnswer(Term, chunk.Position, chunk.Length));
            return;
        }

        if (chunk.Length is <= 0 or > SnapshotBytesMaximum || chunk.Data.Length == 0 || chunk.Offset < 0 || chunk.Offset + chunk.Data.Length > chunk.Length)
        {
            NoteSenseless(from);
            return;
        }

        if (_incoming is null || _incoming.Position != chunk.Position || _incoming.Length != chunk.Length || _incoming.Checksum != chunk.Checksum)
        {
            _incoming = new Incoming(chunk.Position, chunk.Length, chunk.Checksum, []);
        }

        if (chunk.Offset == _incoming.Bytes.Count)
        {
            _incoming.Bytes.AddRange(chunk.Data);
        }

        if (_incoming.Bytes.Count == _incoming.Length)
        {
            Install(from, _incoming);
        }

        Send(from, new PeerBody.SnapshotAnswer(Term, chunk.Position, _incoming?.Bytes.Count ?? chunk.Length));
    }

    /// <summary>Acknowledged as a log up to there once it is durable, like entries. Damaged on its way: it is asked for again from its beginning.</summary>
    private void Install(MachineId from, Incoming incoming)
    {
        if (SnapshotBytes.Read([.. incoming.Bytes], incoming.Checksum, incoming.Position, out var problem) is not { } state)
        {
            incoming.Bytes.Clear();
            Note(Severity.Error, "snapshot-damaged", $"The snapshot from {from} cannot be used: {problem}. It is asked for again; if this goes on, look at the memory and the network of both machines.");
            return;
        }

        _incoming = null;
        Log.Restart(incoming.Position);
        Snapshot = state;
        _memberships.Clear();
        MembershipOf(state);
        CommitIndex = incoming.Position.Index;
        _matchedIndex = incoming.Position.Index;
        _acknowledgedIndex = 0;
        _disk.Install(state);
        Note(Severity.Information, "snapshot-installed", $"Took over the state up to entry {incoming.Position.Index} from {from}: the log that it keeps begins later.");
    }
}
