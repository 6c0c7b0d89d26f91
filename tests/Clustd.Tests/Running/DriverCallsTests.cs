using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Running;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Running;

/// <summary>What one driver owes: from the first word of a start until its stop is acknowledged or proven.</summary>
public class DriverCallsTests
{
    private static readonly Token Older = new(1000), Current = new(1001), Newer = new(1002);
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(10), KillTimeout = TimeSpan.FromSeconds(0.5);
    private static readonly Instant Now = new(5_000_000);
    private readonly DriverCalls _calls;
    private int _owing;
    private long _sequence;

    public DriverCallsTests() => _calls = new DriverCalls(change => _owing += change);

    // Wrong program: counts up only, and a machine that owes nothing never says goodbye.
    [Fact]
    public void It_owes_from_the_first_word_of_a_start_until_the_stop_is_acknowledged_and_is_counted_once()
    {
        Start();
        (_calls.Owes, _owing).ShouldBe((true, 1));
        Answer();
        Start();
        _owing.ShouldBe(1, "it owes one stop however often it was started");
        Answer();
        Stop();
        _owing.ShouldBe(1, "a stop that was not answered is no stop");
        Answer();
        (_calls.Owes, _calls.Acknowledged, _owing).ShouldBe((false, false, 0));
    }

    [Fact]
    public void Only_the_call_under_way_is_answered()
    {
        Start();
        _calls.Answered(_sequence - 1, null).ShouldBeNull();
        _calls.Answered(_sequence + 1, null).ShouldBeNull();
        _calls.UnderWay.ShouldNotBeNull();
        _calls.Answered(_sequence, null).ShouldNotBeNull().IsMaster.ShouldBeTrue();
        _calls.Answered(_sequence, null).ShouldBeNull("it is answered already");
    }

    // Wrong program: a failed start counts as a failed stop, after which time alone proves nothing; or a failed stop is forgotten by the next failure.
    [Fact]
    public void A_failed_stop_is_remembered_until_one_succeeds_and_a_failed_start_is_none()
    {
        Start();
        Answer("no disk");
        (_calls.StopFailed, _calls.Owes, _calls.Error).ShouldBe((false, true, "no disk"));
        _calls.HasFailed(true, Current, kill: false).ShouldBeTrue();
        _calls.HasFailed(true, Newer, kill: false).ShouldBeFalse("under another token it is another call");

        Stop();
        Answer("hangs");
        _calls.StopFailed.ShouldBeTrue();
        Stop(kill: true);
        Answer("hangs still");
        (_calls.StopFailed, _calls.Owes).ShouldBe((true, true));
        _calls.HasFailed(false, Current, kill: true).ShouldBeTrue();
        _calls.HasFailed(false, Current, kill: false).ShouldBeFalse();
        Start();
        Answer("no disk");
        _calls.StopFailed.ShouldBeTrue("a start that fails proves no stop");

        Stop();
        Answer();
        (_calls.StopFailed, _calls.Owes, _calls.Error).ShouldBe((false, false, null));
        _calls.HasFailed(false, Current, kill: true).ShouldBeFalse();
    }

    [Fact] // Wrong program: an app that went down before it was ever started counts as one whose stop has failed.
    public void A_stop_that_fails_where_nothing_was_started_owes_nothing()
    {
        Stop();
        Answer("what?");
        (_calls.StopFailed, _calls.Owes, _owing).ShouldBe((false, false, 0));
    }

    [Fact] // Wrong program: a start that fails because it was cancelled counts as the driver's failure, and is not told again.
    public void A_cancelled_start_is_asked_for_once_and_is_no_failure()
    {
        Start();
        _calls.Cancel().ShouldBeTrue();
        _calls.Cancel().ShouldBeFalse("once");
        Answer("cancelled");
        _calls.HasFailed(true, Current, kill: false).ShouldBeFalse();

        Start();
        _calls.Cancel().ShouldBeTrue("it is another call");
        Answer();
        Stop();
        _calls.Cancel();
        Answer("failed");
        _calls.HasFailed(false, Current, kill: false).ShouldBeTrue("a stop that fails has failed, whoever cancels what");
    }

    // The guard's word. Wrong program: that of an older token, or of an earlier start under the same one, counts for what runs now: released while it runs.
    [Fact]
    public void A_proof_counts_when_it_speaks_of_the_only_start_under_the_newest_token()
    {
        Start();
        Answer();
        Stop();
        _calls.Proven(Older, connected: true).ShouldBeFalse();
        _calls.Owes.ShouldBeTrue();
        _calls.Proven(Current, connected: true).ShouldBeTrue("a stop is under way, so nothing brings it up again");
        (_calls.Owes, _calls.Acknowledged, _owing).ShouldBe((false, null, 0));
    }

    [Fact]
    public void A_proof_of_a_newer_token_counts_and_an_older_one_does_not_replace_it()
    {
        Start();
        _calls.ConnectionLost();
        _calls.Proven(Newer, connected: false).ShouldBeTrue("whoever ended the newer one ended this one before");

        var newest = new Token(1003);
        Start(newest);
        Answer();
        _calls.Proven(newest, connected: true).ShouldBeFalse("it lives, and was not told to stop");
        _calls.Proven(Older, connected: true).ShouldBeFalse();
        _calls.ConnectionLost();
        _calls.Owes.ShouldBeFalse("the proof of before is good as soon as the driver is gone");
    }

    [Fact] // Wrong program: as above.
    public void After_two_starts_under_one_token_a_proof_may_speak_of_the_first()
    {
        Start();
        Answer();
        Start();
        Answer();
        Stop();
        _calls.Proven(Current, connected: true).ShouldBeFalse();
        _calls.ConnectionLost();
        _calls.Owes.ShouldBeTrue("its lease has to run out");
    }

    [Fact] // Wrong program: after a start that is over and settled, the next one under a new token counts as its second, and no proof ever counts again.
    public void Each_token_counts_its_own_starts()
    {
        Start();
        Answer();
        Stop();
        Answer();
        Start(Newer);
        Answer();
        Stop();
        _calls.Proven(Newer, connected: true).ShouldBeTrue();
        Answer();

        Start(Newer);
        Answer();
        Stop();
        _calls.Proven(Newer, connected: true).ShouldBeFalse("it was started under this one before");
    }

    // Wrong program: a driver that stopped by itself, because its lease was over while ours was not, is believed to run for ever.
    [Fact]
    public void What_ended_without_being_told_to_is_asked_again_what_it_does()
    {
        Start();
        Answer();
        _calls.Proven(Older, connected: true).ShouldBeFalse();
        _calls.Acknowledged.ShouldBe(true, "that was about something older");
        _calls.Proven(Current, connected: true).ShouldBeFalse();
        (_calls.Acknowledged, _calls.Owes).ShouldBe((null, true));
    }

    [Fact]
    public void A_proof_about_a_driver_that_is_told_something_or_owes_nothing_changes_nothing()
    {
        Stop();
        Answer();
        _calls.Proven(Current, connected: true).ShouldBeFalse();
        _calls.Acknowledged.ShouldBe(false, "it owes nothing, and has said so");
        Start();
        _calls.Proven(Current, connected: true).ShouldBeFalse();
        Answer();
        _calls.Acknowledged.ShouldBe(true, "its own answer came after the proof");
    }

    [Fact]
    public void A_lost_connection_leaves_what_it_owes_and_forgets_what_it_acknowledged()
    {
        Start();
        Answer();
        Stop();
        Answer("hangs");
        _calls.KillDueAt = Now;
        _calls.ConnectionLost();
        (_calls.Acknowledged, _calls.UnderWay, _calls.KillDueAt, _calls.Owes, _calls.StopFailed).ShouldBe((null, null, null, true, true));
        _calls.HasFailed(false, Current, kill: false).ShouldBeFalse("on a new connection it is tried again");
    }

    // The driver's own word at registration. Wrong program: where we know that it was started, its "nothing runs" is enough; or what it claims under another token is counted as a start of ours.
    [Fact]
    public void What_it_claims_is_believed_as_far_as_it_makes_us_careful()
    {
        _calls.Claimed(isMaster: false, Token.None, unsettled: false);
        (_calls.Owes, _calls.Acknowledged).ShouldBe((false, false));

        _calls.Claimed(isMaster: true, Current, unsettled: false);
        (_calls.Owes, _calls.Acknowledged, _calls.RunToken, _calls.RunNumber, _calls.KillTimeout, _calls.IsUnsettled).ShouldBe((true, true, Current, 0, null, false));
        _calls.Claimed(isMaster: true, Current, unsettled: true);
        (_calls.Acknowledged, _calls.IsUnsettled, _owing).ShouldBe((null, true, 1));

        _calls.Claimed(isMaster: false, Token.None, unsettled: true);
        (_calls.Owes, _calls.Acknowledged, _calls.IsUnsettled).ShouldBe((true, null, false));
    }

    [Fact] // Wrong program: forgets by which kill_timeout it was started, and waits for less after its lease.
    public void A_claim_of_what_we_started_keeps_what_we_know_of_it()
    {
        Start(run: 3);
        Answer();
        _calls.ConnectionLost();
        _calls.Claimed(isMaster: true, Current, unsettled: false);
        (_calls.RunNumber, _calls.KillTimeout).ShouldBe((3, KillTimeout));
        _calls.Claimed(isMaster: true, Newer, unsettled: false);
        (_calls.RunNumber, _calls.KillTimeout, _calls.RunToken).ShouldBe((0, null, Newer));
    }

    [Fact]
    public void A_claim_is_settled_by_the_next_word_to_it_by_its_loss_and_by_a_stop()
    {
        void Unsettled()
        {
            _calls.Claimed(isMaster: true, Current, unsettled: true);
            _calls.IsUnsettled.ShouldBeTrue();
        }

        Unsettled();
        Start();
        _calls.IsUnsettled.ShouldBeFalse();
        Answer();
        Unsettled();
        _calls.ConnectionLost();
        _calls.IsUnsettled.ShouldBeFalse();
        Unsettled();
        Stop();
        Answer();
        _calls.IsUnsettled.ShouldBeFalse();
    }

    [Fact] // A former daemon may have told it to start. Wrong program: overwrites what is known, and a proof of the older token frees it.
    public void What_a_former_daemon_may_have_started_is_owed_until_it_is_stopped_for_certain()
    {
        _calls.MayHaveStarted();
        (_calls.Owes, _calls.RunToken, _owing).ShouldBe((true, Token.None, 1));
        _calls.Proven(Current, connected: false).ShouldBeFalse("which of its starts it speaks of nobody knows");
        Stop();
        Answer();
        _calls.Owes.ShouldBeFalse();

        Start(run: 4);
        _calls.MayHaveStarted();
        (_calls.RunToken, _calls.RunNumber).ShouldBe((Current, 4));
    }

    private void Start(Token? token = null, long run = 1) => _calls.Told(new CallUnderWay(++_sequence, true, token ?? Current, Now, Limit, false), run, KillTimeout);

    private void Stop(bool kill = false) => _calls.Told(new CallUnderWay(++_sequence, false, Current, Now, Limit, kill), 0, TimeSpan.Zero);

    private void Answer(string? error = null) => _calls.Answered(_sequence, error).ShouldNotBeNull();
}
