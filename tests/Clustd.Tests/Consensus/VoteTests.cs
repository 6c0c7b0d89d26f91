using Clustd.Core;
using Clustd.Core.Raft;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Consensus;

/// <summary>
/// One vote per term, for a log that is no older than one's own, and only of the present term counted (Ongaro, sections 3.4, 3.6 and 9.6): what keeps two leaders of one term apart.
/// One of five machines is cut off, and is told what late, repeated and dishonest messages would tell it.
/// </summary>
public class VoteTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);
    private readonly CoreBench _bench = new(5);
    private readonly MachineId _leader, _self, _one, _other, _third;

    public VoteTests()
    {
        _bench.RunUntil(() => _bench.Running.All(core => core.Hold.IsHeld(_bench.Now)), Second * 2);
        _bench.RunFor(Second);
        _leader = _bench.Leader!.Settings.Self;
        var followers = _bench.Ids.Where(id => id != _leader).ToList();
        (_self, _one, _other, _third) = (followers[0], followers[1], followers[2], followers[3]);
        _bench.Cut(_self);
    }

    private Raft Self => _bench[_self].Consensus;

    private Term Next => Self.Term.Next();

    [Fact] // Wrong program: votes for whoever asks, or for the same one only once, so that a lost answer costs an election.
    public void It_votes_once_per_term_and_says_the_same_again()
    {
        NoLongerHears();
        var term = Next;
        Vote(_one, term).Granted.ShouldBeTrue();
        Vote(_other, term).ShouldBe((term, false));
        Vote(_one, term).ShouldBe((term, true));
        Vote(_other, term.Next()).ShouldBe((term.Next(), true));
        Vote(_one, term).ShouldBe((term.Next(), false), "that term is over");
        Self.HardState.Vote.ShouldBe(_other);
    }

    [Fact] // Wrong program: an answer overtakes the disk, and after a power cut it votes in that term again.
    public void Its_vote_is_on_the_disk_before_it_is_said()
    {
        NoLongerHears();
        _bench.SlowDisk(_self);
        var before = Said<PeerBody.VoteAnswer>().Count;
        Tell(_one, new PeerBody.Vote(Next, Self.Log.Last, false));
        Said<PeerBody.VoteAnswer>().Count.ShouldBe(before);
        _bench.AnswerDisk(_self);
        Said<PeerBody.VoteAnswer>().Last().Granted.ShouldBeTrue();
    }

    // Wrong program: elects a leader that lacks what was acknowledged, and it is overwritten.
    [Theory]
    [InlineData(-1, 0, false)]
    [InlineData(0, 0, true)]
    [InlineData(5, 0, true)]
    [InlineData(5, -1, false)]
    [InlineData(-3, 1, true)]
    public void It_votes_for_no_older_log_than_its_own(int entriesMore, int termsMore, bool granted)
    {
        NoLongerHears();
        var last = new LogPosition(Self.Log.LastIndex + entriesMore, new Term(Self.Log.Last.Term.Value + termsMore));
        var term = new Term(Self.Term.Value + 2);
        Tell(_one, new PeerBody.PreVote(term, last));
        Said<PeerBody.PreVoteAnswer>().Last().Granted.ShouldBe(granted);
        Tell(_one, new PeerBody.Vote(term, last, false));
        var answer = Said<PeerBody.VoteAnswer>().Last();
        (answer.Term, answer.Granted, answer.Ages.IsEmpty).ShouldBe((term, granted, !granted), "the ages travel with a vote");
    }

    [Fact] // Section 9.6. Wrong program: a machine that was cut off comes back with a high term and deposes a leader that works.
    public void While_it_hears_its_leader_nobody_gets_its_vote_but_whom_the_leader_sent()
    {
        var (term, votes) = (Self.Term, Said<PeerBody.VoteAnswer>().Count);
        Tell(_one, new PeerBody.PreVote(Next, Self.Log.Last));
        Said<PeerBody.PreVoteAnswer>().Last().ShouldBe(new PeerBody.PreVoteAnswer(term, false));
        Tell(_one, new PeerBody.Vote(Next, Self.Log.Last, false));
        (Said<PeerBody.VoteAnswer>().Count, Self.Term).ShouldBe((votes, term));
        Tell(_one, new PeerBody.Vote(Next, Self.Log.Last, true));
        Said<PeerBody.VoteAnswer>().Last().Granted.ShouldBeTrue();
    }

    [Fact] // Wrong program: a question that only asks takes the term along, and the machine that asks again and again deposes everybody.
    public void Asked_beforehand_it_promises_for_a_newer_term_only_and_changes_nothing()
    {
        NoLongerHears();
        var term = Self.Term;
        Tell(_one, new PeerBody.PreVote(term, Self.Log.Last));
        Said<PeerBody.PreVoteAnswer>().Last().Granted.ShouldBeFalse("that term has been");
        Tell(_one, new PeerBody.PreVote(term.Next(), Self.Log.Last));
        Said<PeerBody.PreVoteAnswer>().Last().ShouldBe(new PeerBody.PreVoteAnswer(term.Next(), true));
        (Self.Term, Self.HardState.Vote).ShouldBe((term, Self.HardState.Vote));
    }

    [Fact] // Wrong program: stands for election because anybody says so, or because a former leader did.
    public void It_takes_over_at_the_word_of_its_present_leader_alone()
    {
        var term = Self.Term;
        Tell(_one, new PeerBody.TakeOver(term));
        Tell(_leader, new PeerBody.TakeOver(new Term(term.Value - 1)));
        (Self.Role, Self.Term).ShouldBe((Role.Follower, term));
        Stands();
        Said<PeerBody.Vote>().Last().ShouldBe(new PeerBody.Vote(term.Next(), Self.Log.Last, true));
    }

    [Fact] // Wrong program: counts votes of a former term, refusals, or one voter twice: two leaders of one term.
    public void It_leads_when_a_majority_has_voted_for_it_in_this_term()
    {
        Stands();
        var term = Self.Term;
        foreach (var voter in (MachineId[])[_one, _other, _third]) Tell(voter, new PeerBody.VoteAnswer(new Term(term.Value - 1), true, []));
        foreach (var voter in (MachineId[])[_one, _other, _third]) Tell(voter, new PeerBody.VoteAnswer(term, false, []));
        foreach (var _ in Enumerable.Range(0, 3)) Tell(_one, new PeerBody.VoteAnswer(term, true, []));
        Self.Role.ShouldBe(Role.Candidate);
        Vote(_other, term).ShouldBe((term, false), "it has voted for itself");
        Tell(_other, new PeerBody.VoteAnswer(term, true, []));
        Self.Role.ShouldBe(Role.Leader);
        Vote(_third, term).ShouldBe((term, false));
    }

    [Fact] // Wrong program: its own vote counts before it is on the disk.
    public void Its_own_vote_counts_when_it_is_on_its_disk()
    {
        _bench.SlowDisk(_self);
        Tell(_leader, new PeerBody.TakeOver(Self.Term));
        foreach (var voter in (MachineId[])[_one, _other, _third, _leader]) Tell(voter, new PeerBody.VoteAnswer(Self.Term, true, []));
        Self.Role.ShouldBe(Role.Candidate);
        _bench.AnswerDisk(_self);
        Self.Role.ShouldBe(Role.Leader);
    }

    [Theory] // Wrong program: goes on as a candidate, or a leader, of a term that is over.
    [InlineData("vote")]
    [InlineData("pre-vote")]
    public void A_newer_term_in_an_answer_ends_its_candidacy(string answer)
    {
        Stands();
        var newer = Next;
        Tell(_one, answer == "vote" ? new PeerBody.VoteAnswer(newer, false, []) : new PeerBody.PreVoteAnswer(newer, false));
        (Self.Role, Self.Term).ShouldBe((Role.Follower, newer));
    }

    [Fact] // Wrong program: promises for another term, or refusals, begin an election that nobody wants.
    public void It_stands_when_a_majority_has_promised_for_the_next_term()
    {
        NoLongerHears();
        _bench.RunUntil(() => Self.Role == Role.PreCandidate, Second * 5);
        var term = Self.Term;
        foreach (var voter in (MachineId[])[_one, _other, _third]) Tell(voter, new PeerBody.PreVoteAnswer(new Term(term.Value + 2), true));
        foreach (var voter in (MachineId[])[_one, _other, _third]) Tell(voter, new PeerBody.PreVoteAnswer(term, false));
        foreach (var _ in Enumerable.Range(0, 3)) Tell(_one, new PeerBody.PreVoteAnswer(term.Next(), true));
        (Self.Role, Self.Term).ShouldBe((Role.PreCandidate, term));
        Tell(_other, new PeerBody.PreVoteAnswer(term.Next(), true));
        (Self.Role, Self.Term).ShouldBe((Role.Candidate, term.Next()));
        Said<PeerBody.Vote>().Last().Transfer.ShouldBeFalse();
    }

    private (Term Term, bool Granted) Vote(MachineId candidate, Term term)
    {
        Tell(candidate, new PeerBody.Vote(term, Self.Log.Last, false));
        var answer = Said<PeerBody.VoteAnswer>().Last();
        return (answer.Term, answer.Granted);
    }

    private void Stands()
    {
        Tell(_leader, new PeerBody.TakeOver(Self.Term));
        Self.Role.ShouldBe(Role.Candidate);
    }

    private void NoLongerHears() => _bench.RunFor(Second * 2);

    private void Tell(MachineId from, PeerBody body)
    {
        _bench.Post(_self, new Input.PeerSpoke(from, new PeerMessage(_bench[_leader].State.Cluster, _bench[from].Store, body)));
        _bench.Deliver();
    }

    private List<T> Said<T>()
        where T : PeerBody => [.. _bench.Trace.Where(step => step.Machine == _self).Select(step => step.Output).OfType<Output.Send>().Select(send => send.Message.Body).OfType<T>()];
}
