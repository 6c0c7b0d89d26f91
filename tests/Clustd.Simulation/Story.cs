using Clustd.Core;
using Clustd.Core.Raft;

namespace Clustd.Simulation;

/// <summary>Sentences for the transcript.</summary>
internal static class Story
{
    public static string Tell(object what) => what switch
    {
        string text => text,
        Output.Send send => $"says to {send.To}: {Tell(send.Message.Body)}",
        Output.Noted noted => $"[{noted.Severity.ToString().ToLowerInvariant()}] {noted.Kind}: {noted.Sentence}",
        Output.Disconnect disconnect => $"closes its connection to {disconnect.Machine}: {disconnect.Reason}",
        Output.RequestAnswered answered => $"answers request {answered.Id}: {(answered.Outcome.Done ? "done" : "refused")}: {answered.Outcome.Sentence}",
        Output.Persist persist => Tell(persist),
        LogEntry entry => $"applies {entry.Index} (term {entry.Term}): {entry.Command}",
        PeerBody.Vote vote => $"vote for me in term {vote.Term}, my log ends at {vote.Last.Index} (term {vote.Last.Term}){(vote.Transfer ? ", a transfer" : "")}",
        PeerBody.VoteAnswer answer => $"vote in term {answer.Term} {(answer.Granted ? "granted" : "refused")}, ages [{Ages(answer.Ages)}]",
        PeerBody.PreVote vote => $"would you vote for me in term {vote.Term}? My log ends at {vote.Last.Index} (term {vote.Last.Term})",
        PeerBody.PreVoteAnswer answer => $"I would{(answer.Granted ? "" : " not")} vote for you, term {answer.Term}",
        PeerBody.Append append => $"append in term {append.Term}, round {append.Round}, after {append.Previous.Index} (term {append.Previous.Term}): "
            + $"{string.Join("; ", append.Entries.Select(entry => $"{entry.Index}/{entry.Term} {entry.Command.GetType().Name}"))}, commit {append.Commit}, ages [{Ages(append.Ages)}]",
        PeerBody.Relay relay => $"for {relay.To}: {Tell(relay.Message.Body)}",
        PeerBody.Relayed relayed => $"{relayed.From} says: {Tell(relayed.Message.Body)}",
        _ => what.ToString() ?? "",
    };

    private static string Tell(Output.Persist persist) =>
        $"persists #{persist.Sequence}{(persist.HardState is { } hard ? $" term {hard.Term} vote {hard.Vote?.Value ?? "none"}" : "")}"
        + $"{(persist.TruncateFrom is { } from ? $" truncates from {from}" : "")}{(persist.Snapshot is { } snapshot ? $" snapshot up to {snapshot.AppliedIndex}" : "")}"
        + string.Concat(persist.Entries.Select(entry => $" {entry.Index}/{entry.Term} {entry.Command.GetType().Name}"));

    private static string Ages(System.Collections.Immutable.ImmutableArray<SessionAge> ages) =>
        ages.IsDefault ? "" : string.Join(", ", ages.Select(age => $"{age.Session}: {age.AgeMicroseconds} µs"));
}
