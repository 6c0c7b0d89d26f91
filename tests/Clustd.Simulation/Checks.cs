using System.Text;
using System.Text.Json;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Clustd.Core.Wire;

namespace Clustd.Simulation;

/// <summary>The invariants of consensus and of what the cluster agrees on, checked after every step of every machine.</summary>
internal sealed class Checks(World world)
{
    /// <summary>What once differs goes on differing: every entry that follows applies to it. So the bytes of every so many-th index are enough.</summary>
    private const int BytesEvery = 8;

    private readonly Dictionary<Term, MachineId> _leaders = [];
    private readonly Dictionary<(long Index, Term Term), (string Command, Term Previous)> _entries = [];
    private readonly List<LogEntry> _committed = [];
    private readonly Dictionary<long, byte[]> _states = [];
    private readonly Dictionary<ServiceName, Token> _granted = [];
    private readonly Dictionary<MachineId, Seen> _machines = [];

    /// <summary>The agreed state that has got furthest, on whatever machine.</summary>
    public ClusterState Newest { get; private set; } = ClusterState.Empty;

    public long Committed => _committed.Count;

    public (Term Term, MachineId Machine)? Leader { get; private set; }

    /// <summary>How often a service lost its master without anybody asking for it: its session ended, or it failed where it was.</summary>
    public long Failovers { get; private set; }

    public int Elections => _leaders.Count;

    /// <summary>The highest feature level that any leader has put into its log, and when, µs.</summary>
    public int HighestLevelProposed { get; private set; } = 1;

    public long LevelProposedAt { get; private set; }

    public void Started(SimulatedMachine machine) => _machines[machine.Id] = new Seen();

    public void Stopped(SimulatedMachine machine)
    {
        if (_machines.TryGetValue(machine.Id, out var seen))
        {
            // Whatever this machine ever promised must survive the crash.
            foreach (var (term, candidate) in seen.VotesGranted)
            {
                RequireVote(machine, term, candidate, "after its crash");
            }
        }

        _machines.Remove(machine.Id);
    }

    /// <summary>All stores were wiped while nothing ran: what forms now is another cluster, with a log of its own. Tokens must grow all the same.</summary>
    public void BeginsAnew()
    {
        _leaders.Clear();
        _entries.Clear();
        _committed.Clear();
        _states.Clear();
        (Newest, Leader) = (ClusterState.Empty, null);
    }

    public void Departed(SimulatedMachine machine)
    {
        if (Newest.FeatureLevel >= FeatureLevels.Membership && Newest.Members.TryGetValue(machine.Id, out var member) && !member.Learner && Newest.Members.Values.Count(other => !other.Learner) == 2 && world.WasGoodbyeUndisturbed(machine))
        {
            throw new ViolationException(Invariant.TwoVotersPart, $"{machine.Id} has left and is still one of two voters");
        }

        foreach (var act in world.Acting.Acts)
        {
            if (act.Machine == machine && !act.IsExcused)
            {
                throw new ViolationException(Invariant.NoReleaseWhileRunning, $"{machine.Id} has said goodbye while {act.Driver} acts for {act.Service}");
            }
        }
    }

    public void Persisting(SimulatedMachine machine, Output.Persist persist)
    {
        var seen = _machines[machine.Id];
        if (persist.Sequence <= seen.LastPersist)
        {
            throw new ViolationException(Invariant.PersistInOrder, $"{machine.Id} persists #{persist.Sequence} after #{seen.LastPersist}");
        }

        seen.LastPersist = persist.Sequence;
        if (persist.HardState is { } hard)
        {
            if (hard.Term < seen.Term)
            {
                throw new ViolationException(Invariant.PersistInOrder, $"{machine.Id} goes back from term {seen.Term} to {hard.Term}");
            }

            seen.Term = hard.Term;
        }

        if (persist.TruncateFrom is { } from && from <= machine.Log.LastIndex)
        {
            if (seen.LedTerm is { } led && led == seen.Term)
            {
                throw new ViolationException(Invariant.LeaderAppendOnly, $"{machine.Id}, leader of term {led}, truncates its log from {from}");
            }

            if (from <= seen.Applied && !(persist.Snapshot?.AppliedIndex >= seen.Applied))
            {
                throw new ViolationException(Invariant.LeaderCompleteness, $"{machine.Id} truncates from {from}, but has applied {seen.Applied}");
            }
        }

        var previous = persist.Entries.IsDefaultOrEmpty ? Term.Zero
            : persist.Snapshot?.AppliedIndex == persist.Entries[0].Index - 1 ? persist.Snapshot.AppliedTerm
            : machine.Log.TermAt(Math.Min(persist.Entries[0].Index - 1, machine.Log.LastIndex));
        foreach (var entry in persist.Entries)
        {
            if (entry.Command is Command.ChangeMembers change && machine.Core!.Consensus.IsLeader && machine.Core.Consensus.Term == entry.Term)
            {
                MembersChange(machine, entry, change);
            }

            var command = Json(entry.Command);
            if (!_entries.TryAdd((entry.Index, entry.Term), (command, previous)))
            {
                var known = _entries[(entry.Index, entry.Term)];
                if (known.Command != command || known.Previous != previous)
                {
                    throw new ViolationException(
                        Invariant.LogMatching,
                        $"{machine.Id} has {command} at {entry.Index} (term {entry.Term}) after term {previous}, elsewhere it is {known.Command} after term {known.Previous}");
                }
            }

            previous = entry.Term;
            if (entry.Command is Command.SetFeatureLevel set && set.Level > HighestLevelProposed)
            {
                (HighestLevelProposed, LevelProposedAt) = (set.Level, world.Events.Now);
            }
        }
    }

    /// <summary>What gets onto the wire must be readable where it arrives. A machine that went back to an older version just then is its operator's doing: it refuses, and waits for its upgrade.</summary>
    public void Arrived(SimulatedMachine machine, PeerBody.Append append)
    {
        foreach (var entry in append.Entries)
        {
            if (FeatureLevels.ToRead(entry.Command) > machine.FeatureLevel && machine.DowngradedAt < LevelProposedAt - (2 * world.Scenario.LeaseMicroseconds))
            {
                throw new ViolationException(Invariant.NothingTooNew, $"{machine.Id}, of level {machine.FeatureLevel}, gets {Json(entry.Command)}");
            }
        }
    }

    public void Sent(SimulatedMachine machine, Output.Send send)
    {
        switch (send.Message.Body)
        {
            case PeerBody.Relay relay: // What it says by way of another one it must be able to say directly.
                Sent(machine, new Output.Send(relay.To, relay.Message));
                break;
            case PeerBody.Append append:
                Leads(machine, append.Term);
                break;
            case PeerBody.Vote vote:
                RequireVote(machine, vote.Term, machine.Id, "when it asks for votes");
                _machines[machine.Id].VotesGranted[vote.Term] = machine.Id;
                break;
            case PeerBody.VoteAnswer { Granted: true } answer:
                RequireVote(machine, answer.Term, send.To, "when it grants its vote");
                _machines[machine.Id].VotesGranted[answer.Term] = send.To;
                break;
            case PeerBody.AppendAnswer { Success: true } answer:
                if (machine.Disk.HardState.Term < answer.Term)
                {
                    throw new ViolationException(
                        Invariant.DurableBeforeSent, $"{machine.Id} answers in term {answer.Term}, durable is {machine.Disk.HardState.Term}");
                }

                if (answer.MatchIndex > machine.Log.LastIndex || answer.MatchIndex > machine.Disk.LastIndex
                    || (!machine.Log.Covers(answer.MatchIndex) && !machine.Disk.Holds(answer.MatchIndex, machine.Log.TermAt(answer.MatchIndex))))
                {
                    throw new ViolationException(
                        Invariant.DurableBeforeSent, $"{machine.Id} acknowledges {answer.MatchIndex}, durable are {machine.Disk.LastIndex} entries");
                }

                break;
        }
    }

    public void AfterStep(SimulatedMachine machine)
    {
        var state = machine.Core!.State;
        var seen = _machines[machine.Id];
        var raft = machine.Core.Consensus;
        if (raft.IsLeader && raft.CommitIndex > seen.Committed && seen.Committed > 0 && machine.Log.TermAt(raft.CommitIndex) != raft.Term)
        {
            throw new ViolationException(Invariant.CommitsOwnTerm, $"{machine.Id}, leader of term {raft.Term}, commits up to {raft.CommitIndex}, an entry of term {machine.Log.TermAt(raft.CommitIndex)}");
        }

        seen.Committed = raft.CommitIndex;
        if (state.AppliedIndex == seen.Applied)
        {
            return;
        }

        if (state.AppliedIndex < seen.Applied)
        {
            throw new ViolationException(Invariant.StateMachineSafety, $"{machine.Id} goes back from applied {seen.Applied} to {state.AppliedIndex}");
        }

        if (state.AppliedIndex > machine.Disk.LastIndex)
        {
            throw new ViolationException(Invariant.DurableBeforeApplied, $"{machine.Id} has applied {state.AppliedIndex}, its disk holds {machine.Disk.LastIndex}");
        }

        for (var index = Math.Max(seen.Applied, machine.Log.Base.Index) + 1; index <= state.AppliedIndex; index++)
        {
            Applied(machine, index);
        }

        seen.Applied = state.AppliedIndex;
        if (state.AppliedIndex % BytesEvery == 0)
        {
            CompareBytes(machine, state);
        }

        CheckTokens(state);
        if (state.AppliedIndex > Newest.AppliedIndex)
        {
            Newest = state;
        }
    }

    private void Leads(SimulatedMachine machine, Term term)
    {
        var seen = _machines[machine.Id];
        if (seen.LedTerm == term)
        {
            return;
        }

        seen.LedTerm = term;
        if (!_leaders.TryAdd(term, machine.Id) && _leaders[term] != machine.Id)
        {
            throw new ViolationException(Invariant.ElectionSafety, $"{machine.Id} and {_leaders[term]} both lead term {term}");
        }

        world.Note(machine.Id.Value, $"** leads term {term}");
        if (Leader is null || term > Leader.Value.Term)
        {
            Leader = (term, machine.Id);
        }

        foreach (var entry in _committed)
        {
            if (entry.Term < term && !machine.Log.Covers(entry.Index) && (entry.Index > machine.Log.LastIndex || machine.Log.TermAt(entry.Index) != entry.Term))
            {
                throw new ViolationException(
                    Invariant.LeaderCompleteness, $"{machine.Id} leads term {term} without the committed entry {entry.Index} of term {entry.Term}");
            }
        }
    }

    private void Applied(SimulatedMachine machine, long index)
    {
        if (index > machine.Log.LastIndex)
        {
            throw new ViolationException(Invariant.StateMachineSafety, $"{machine.Id} has applied {index}, its log ends at {machine.Log.LastIndex}");
        }

        var entry = machine.Log[index];
        if (index <= _committed.Count)
        {
            var known = _committed[(int)index - 1];
            if (known.Term != entry.Term || (!ReferenceEquals(known, entry) && Json(known.Command) != Json(entry.Command)))
            {
                throw new ViolationException(
                    Invariant.StateMachineSafety, $"{machine.Id} applies {Json(entry.Command)} of term {entry.Term} at {index}, elsewhere it is {Json(known.Command)} of term {known.Term}");
            }

            return;
        }

        _committed.Add(entry);
        world.Note(machine.Id.Value, entry);
        world.Soak?.Committed(entry);
        world.Fencing.Committed(entry.Command);
        // Which list counts: of a change, the list in it (it takes effect when it is appended); of all else, one of those that this machine knows.
        IEnumerable<List<(MachineId Machine, StoreId Store)>> lists = entry.Command is Command.ChangeMembers change
            ? [[.. change.Members.Where(member => !member.Learner).Select(member => (member.Machine, member.Store))]]
            : machine.Core!.Consensus.LatestVoters;
        if (entry.Command is not Command.Form && !lists.Any(voters => voters.Count(voter => world.MachineOf(voter.Machine).Disk.HasHeld(voter.Store, index, entry.Term)) * 2 > voters.Count))
        {
            throw new ViolationException(
                Invariant.CommittedIsDurable,
                $"{machine.Id} applies {index} (term {entry.Term}), which is durable only on [{string.Join(", ", world.Machines.Where(other => other.Disk.Holds(index, entry.Term)).Select(other => other.Id))}]");
        }

        if (FeatureLevels.Of(entry.Command) > Newest.FeatureLevel)
        {
            throw new ViolationException(Invariant.NothingTooNew, $"{Json(entry.Command)} is in the log, the cluster's level is {Newest.FeatureLevel}");
        }

        switch (entry.Command)
        {
            case Command.Release release:
                Released(release);
                if (release.Failed)
                {
                    Failovers++;
                    world.Lost($"{release.Service} is released: {release.Reason}");
                }

                break;
            case Command.ChangeMembers:
                world.Changed();
                break;
            case Command.EndSession end:
                Failovers += Newest.Services.Values.Count(service => service.Assignment?.Session == end.Session);
                world.Lost($"session {end.Session} ends: {end.Reason}");
                break;
        }
    }

    private static void MembersChange(SimulatedMachine machine, LogEntry entry, Command.ChangeMembers change)
    {
        var core = machine.Core!;
        var before = core.Consensus.LatestVoters.Skip(1).FirstOrDefault([]);
        var after = change.Members.Where(member => !member.Learner).Select(member => (member.Machine, member.Store)).ToList();
        var differing = before.Except(after).Count() + after.Except(before).Count();
        if (differing > 1)
        {
            throw new ViolationException(Invariant.MembershipStepwise, $"{machine.Id} changes {differing} voters at once with entry {entry.Index}");
        }

        var own = 0L;
        for (var index = machine.Log.LastIndex; index > machine.Log.Base.Index && own == 0; index--)
        {
            own = machine.Log[index] is { Command: Command.NoOp } noOp && noOp.Term == entry.Term ? index : 0;
            if (machine.Log[index].Command is Command.ChangeMembers && index > core.Consensus.CommitIndex)
            {
                throw new ViolationException(Invariant.MembershipStepwise, $"{machine.Id} appends change {entry.Index} while change {index} is not committed");
            }
        }

        if (own > core.Consensus.CommitIndex || (own == 0 && machine.Log.Base.Term < entry.Term))
        {
            throw new ViolationException(Invariant.MembershipStepwise, $"{machine.Id} appends change {entry.Index} before an entry of its term {entry.Term} is committed");
        }
    }

    private void Released(Command.Release release)
    {
        foreach (var act in world.Acting.Acts)
        {
            if (act.Service == release.Service && act.Token == release.Token && !act.IsExcused && act.Machine.HostFrozenUntil <= world.Events.Now)
            {
                throw new ViolationException(
                    Invariant.NoReleaseWhileRunning, $"{release.Service} is released (token {release.Token}, {release.Reason}) while {act.Driver} on {act.Machine.Id} acts");
            }
        }
    }

    /// <summary>At the end, whatever the index: machines that have applied the same hold the same bytes.</summary>
    public void CheckEnd()
    {
        foreach (var machine in world.Machines)
        {
            if (machine.Core is { State: { AppliedIndex: > 0 } state })
            {
                CompareBytes(machine, state);
            }
        }
    }

    private void CompareBytes(SimulatedMachine machine, ClusterState state)
    {
        var bytes = JsonSerializer.SerializeToUtf8Bytes(state, CoreJson.Default.ClusterState);
        if (!_states.TryAdd(state.AppliedIndex, bytes) && !_states[state.AppliedIndex].AsSpan().SequenceEqual(bytes))
        {
            throw new ViolationException(
                Invariant.StateMachineSafety,
                $"after {state.AppliedIndex}, {machine.Id} has {Encoding.UTF8.GetString(bytes)}, elsewhere it is {Encoding.UTF8.GetString(_states[state.AppliedIndex])}");
        }
    }

    private void CheckTokens(ClusterState state)
    {
        foreach (var (name, service) in state.Services)
        {
            if (service.Assignment is not { } assignment)
            {
                continue;
            }

            if (state.LastTokenOf(name) != assignment.Token)
            {
                throw new ViolationException(Invariant.TokensGrow, $"{name} is assigned with token {assignment.Token}, the last one is {state.LastTokenOf(name)}");
            }

            if (state.AppliedIndex > Newest.AppliedIndex)
            {
                var isNew = Newest.Services.GetValueOrDefault(name)?.Assignment?.Token != assignment.Token;
                if (_granted.TryGetValue(name, out var last) && (assignment.Token < last || (isNew && assignment.Token == last)))
                {
                    throw new ViolationException(Invariant.TokensGrow, $"{name} is assigned with token {assignment.Token} after {last}");
                }

                _granted[name] = assignment.Token;
            }
        }
    }

    private void RequireVote(SimulatedMachine machine, Term term, MachineId candidate, string when)
    {
        var durable = machine.Disk.HardState;
        if (durable.Term < term || (durable.Term == term && durable.Vote != candidate))
        {
            throw new ViolationException(
                Invariant.DurableBeforeSent, $"{machine.Id} votes for {candidate} in term {term}, but {when} durable are term {durable.Term}, vote {durable.Vote?.Value ?? "none"}");
        }
    }

    private static string Json(Command command) => JsonSerializer.Serialize(command, CoreJson.Default.Command);

    /// <summary>What one incarnation of one machine has shown.</summary>
    private sealed class Seen
    {
        public long Applied { get; set; }

        public long Committed { get; set; }

        public Term Term { get; set; }

        public Term? LedTerm { get; set; }

        public long LastPersist { get; set; } = long.MinValue;

        public Dictionary<Term, MachineId> VotesGranted { get; } = [];
    }
}
