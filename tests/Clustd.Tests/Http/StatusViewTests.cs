using System.Text.Json;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Running;
using Clustd.Http;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Http;

/// <summary>A status never lies: what is not known now is "unknown", and what was known stands beside it.</summary>
public sealed class StatusViewTests
{
    private static readonly DateTimeOffset Noon = new(2026, 1, 2, 12, 0, 0, TimeSpan.Zero);

    [Fact]
    public void A_leader_that_is_master_says_so_with_token_reason_and_since()
    {
        var status = Status(Views.Leader);

        (status.Cluster, status.Self, status.Leader, status.Role, status.Term).ShouldBe(("c-1", "cm-1", "cm-1", "leader", 3L));
        (status.IsKnown, status.KnownAgoMs, status.SessionLeftMs).ShouldBe((true, 20L, 900L));
        status.Quorum.ShouldBe(new QuorumStatus(3, 2, 3, "leader"));
        status.Services.ShouldBe([new ServiceStatus(
            "web", "cm-1", 7, "running", Noon, "It is preferred.", "certain", "no action, because it runs where it may.", new LocalStatus("running", 7, "Running."), null)]);
        status.Machines.Select(machine => (machine.Id, machine.State, machine.Session, machine.IsLeader)).ShouldBe(
            [("cm-1", "alive", 2L, true), ("cm-2", "alive", 3L, false), ("cm-3", "alive", 4L, false)]);
        status.Warnings.ShouldBeEmpty();
    }

    [Fact]
    public void A_follower_names_the_master_and_counts_its_own_connections()
    {
        var status = Status(Views.Follower with { Connected = [new MachineId("cm-2")] });

        var web = status.Services.Single();
        (web.Master, web.State, web.Here.Phase, web.LastKnown).ShouldBe(("cm-2", "running", "standby", null));
        web.Takeover.ShouldBe("unknown"); // Only cm-2 knows its drivers.
        web.Placement.ShouldBeNull();
        status.Quorum.ShouldBe(new QuorumStatus(2, 2, 3, "connections"));
    }

    [Fact]
    public void A_machine_that_is_cut_off_says_unknown_and_what_it_knew_last_with_its_age()
    {
        // Wrong program: one that shows the master of twelve seconds ago, while another machine runs the service.
        var status = Status(Views.CutOff);

        (status.Leader, status.IsKnown, status.KnownAgoMs, status.Paused).ShouldBe(("unknown", false, 12_000L, null));
        status.Quorum.ShouldBe(new QuorumStatus(null, 2, 3, null));
        var web = status.Services.Single();
        (web.Master, web.State, web.Token, web.Since, web.Takeover).ShouldBe(("unknown", "unknown", null, null, "unknown"));
        web.LastKnown.ShouldBe(new ServiceLastKnown(12_000, "cm-1", 7, "running", "It is preferred."));
        web.Reason.ShouldBe("cm-1 has heard no leader for 12 s, longer than the lease of 1.0 s: others may have decided anything meanwhile.");
        web.Here.ShouldBe(new LocalStatus("standby", null, "The lease is over."));
        status.Machines.Select(machine => (machine.Id, machine.State)).ShouldBe([("cm-1", "cut-off"), ("cm-2", "unknown"), ("cm-3", "unknown")]);
        status.Machines[1].LastKnown.ShouldBe(new MachineLastKnown(12_000, "alive", 3, false));
        status.Warnings.Single().Code.ShouldBe("not-known");
    }

    [Fact]
    public void A_machine_that_never_heard_a_leader_does_not_know_how_old_its_disk_is()
    {
        var status = Status(Views.Restarted);

        status.KnownAgoMs.ShouldBeNull();
        var web = status.Services.Single();
        (web.Master, web.LastKnown!.AgoMs, web.LastKnown.Master).ShouldBe(("unknown", null, "cm-1"));
        web.Reason.ShouldBe("cm-1 has heard no leader since it started.");
    }

    [Fact]
    public void Before_the_cluster_has_formed_it_says_what_it_waits_for()
    {
        var status = Status(Views.Unformed);

        (status.Cluster, status.Leader, status.WaitsFor).ShouldBe((null, null, "waiting for 1 of 3: 10.0.0.3:3001"));
        status.Quorum.ShouldBe(new QuorumStatus(null, 0, 0, null));
        status.Machines.ShouldBeEmpty();
        status.Warnings.Single().Sentence.ShouldContain("waiting for 1 of 3");
    }

    [Fact]
    public void The_age_of_the_view_counts_on_top()
    {
        // Wrong program: one whose decision loop stands still and whose status stays green.
        var status = StatusView.From(Views.Leader, new StatusContext { ViewAge = TimeSpan.FromSeconds(5) });

        (status.IsKnown, status.KnownAgoMs, status.SessionLeftMs).ShouldBe((false, 5_020L, 0L));
        var web = status.Services.Single();
        (web.Master, web.Here.Phase).ShouldBe(("unknown", "unknown"));
        status.Quorum.Have.ShouldBeNull();
    }

    [Theory]
    [InlineData(1_000, true)]
    [InlineData(1_001, false)]
    public void Knowledge_is_good_for_one_lease(int ms, bool isKnown) =>
        Status(Views.Follower with { KnownFor = TimeSpan.FromMilliseconds(ms) }).IsKnown.ShouldBe(isKnown);

    [Fact]
    public void A_service_that_the_log_assigns_to_us_is_unknown_once_our_session_is_not_held()
    {
        // The guard: our lease is over shortly before the knowledge is older than a lease.
        var status = Status(Views.Leader with { KnownFor = TimeSpan.FromMilliseconds(970), HoldLeft = TimeSpan.Zero });

        status.Services.Single().Master.ShouldBe("unknown");
        status.Services.Single().LastKnown!.Master.ShouldBe("cm-1");
    }

    [Fact]
    public void Under_a_held_session_our_own_mastership_is_certain_however_old_the_rest()
    {
        // As under a restart grace.
        var status = Status(Views.Leader with { KnownFor = TimeSpan.FromSeconds(3), HoldLeft = TimeSpan.FromSeconds(9) });

        (status.Services.Single().Master, status.Services.Single().State).ShouldBe(("cm-1", "running"));
        status.Leader.ShouldBe("unknown");
    }

    [Fact]
    public void Without_a_master_it_says_why()
    {
        var vacated = Views.Service("cm-2") with { Assignment = null, Vacated = new Vacated(new MachineId("cm-2"), new Token(7), TimeSpan.Zero, 9), Reason = "Waiting until it is dead." };

        var waiting = Status(Views.Follower.With(vacated)).Services.Single();
        var nowhere = Status(Views.Follower.With(vacated with { Vacated = null, Reason = "No machine can run it." })).Services.Single();

        (waiting.Master, waiting.Token, waiting.State, waiting.Since, waiting.Reason).ShouldBe((null, null, "vacated", Noon, "Waiting until it is dead."));
        (nowhere.Master, nowhere.State, nowhere.Since, nowhere.Reason).ShouldBe((null, "unassigned", null, "No machine can run it."));
    }

    [Fact]
    public void Drivers_that_can_only_try_to_stop_make_a_takeover_best_effort_and_are_named()
    {
        var status = Status(Views.Leader with { Drivers = [Views.Driver("shell", true), Views.Driver("dns", false)] });

        status.Services.Single().Takeover.ShouldBe("best-effort");
        status.Warnings.Single().Sentence.ShouldContain("dns on cm-1");
        status.Drivers.Select(driver => (driver.Name, driver.Stop)).ShouldBe([("shell", "certain"), ("dns", "best-effort")]);
    }

    [Fact]
    public void A_service_that_is_taken_over_regardless_says_so_on_every_machine()
    {
        var service = Views.Service("cm-2");
        var regardless = service with { Definition = service.Definition with { OnStopFailure = OnStopFailure.Takeover } };

        Status(Views.Follower.With(regardless)).Services.Single().Takeover.ShouldBe("best-effort");
    }

    [Fact]
    public void Two_voters_a_pause_and_a_stuck_service_are_warned_of()
    {
        var view = Views.Follower.With(Views.Service("cm-2", AssignmentState.Stuck));
        view = view with { Members = [.. Views.Members(2).Values], State = view.State with { Paused = true } };

        Status(view).Warnings.Select(warning => warning.Code).ShouldBe(["two-machines", "paused", "stuck"]);
    }

    [Fact]
    public void In_json_nothing_is_left_out_and_unknown_is_a_word()
    {
        var json = JsonDocument.Parse(JsonSerializer.Serialize(Status(Views.CutOff), ApiJson.Default.StatusView)).RootElement;

        json.GetProperty("services")[0].GetProperty("master").GetString().ShouldBe("unknown");
        json.GetProperty("services")[0].GetProperty("token").ValueKind.ShouldBe(JsonValueKind.Null);
        json.GetProperty("services")[0].GetProperty("lastKnown").GetProperty("agoMs").GetInt64().ShouldBe(12_000);
        json.GetProperty("quorum").GetProperty("have").ValueKind.ShouldBe(JsonValueKind.Null);
    }

    [Fact]
    public void Only_a_running_service_under_a_held_lease_makes_this_machine_the_master()
    {
        Health.Master(Views.Leader, TimeSpan.Zero, Views.Web).IsMaster.ShouldBe(true);
        Health.Master(Views.Leader, TimeSpan.FromSeconds(1), Views.Web).IsMaster.ShouldBe(false); // The view is older than what was left.
        Health.Master(Views.Leader with { HoldLeft = TimeSpan.Zero }, TimeSpan.Zero, Views.Web).IsMaster.ShouldBe(false);
        var starting = Views.Leader with { LocalServices = [new LocalServiceView(Views.Web, LocalPhase.Promoting, new Token(7), "Starting.")] };
        Health.Master(starting, TimeSpan.Zero, Views.Web).IsMaster.ShouldBe(false);
        Health.Master(Views.Follower, TimeSpan.Zero, Views.Web).ShouldBe((false, "'web' does not run on cm-1 but on cm-2."));
    }

    [Fact]
    public void A_service_is_only_denied_by_a_machine_that_knows()
    {
        var nope = new ServiceName("nope");

        Health.Master(Views.Follower, TimeSpan.Zero, nope).IsMaster.ShouldBeNull();
        Health.Master(Views.CutOff, TimeSpan.Zero, nope).IsMaster.ShouldBe(false);
        Health.Master(Views.Unformed, TimeSpan.Zero, nope).IsMaster.ShouldBe(false);
        Health.Master(Views.CutOff, TimeSpan.Zero, Views.Web).Sentence.ShouldStartWith("'web' does not run on cm-1, and where it runs is not known.");
    }

    private static StatusView Status(MachineView view) => StatusView.From(view, new StatusContext { WallClockOf = index => index == 9 ? Noon : null });
}
