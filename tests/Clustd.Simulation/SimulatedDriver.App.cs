using Clustd.Core;
using Clustd.Drivers.Shell;

namespace Clustd.Simulation;

/// <summary>What a script does to a driver, and the app that a driver supervises: when it ends by itself, the shell driver's own policy decides what comes next.</summary>
internal sealed partial class SimulatedDriver
{
    private RestartPolicy _policy = new();

    /// <summary>Beside the name, in what its process is called: a second copy has another one.</summary>
    public string Suffix { get; init; } = "";

    /// <summary>What goes wrong with it until further notice.</summary>
    public DriverTrouble Trouble { get; set; } = DriverTrouble.None;

    /// <summary>It does not connect again before, µs of true time.</summary>
    public long AwayUntil { get; private set; }

    /// <summary>Its connection to the daemon breaks; it dials again after so many µs.</summary>
    public void StayAway(long duration)
    {
        AwayUntil = world.Events.Now + duration;
        Refused();
    }

    /// <summary>The app ends by itself: it is started again here, after a pause, until the policy says that another machine should try.</summary>
    public void AppEnds(string how)
    {
        if (_act is not { } act)
        {
            return;
        }

        world.Acting.End(act, $"it ended by itself, {how}");
        _act = null;
        var decision = _policy.Ended(machine.LocalNow.Microseconds, how);
        if (decision is RestartDecision.Restart restart)
        {
            world.Note(machine.Id.Value, $"driver {Instance} restarts it: {restart.Reason}");
            Later((long)restart.Delay.TotalMicroseconds, () => StartAgain(act));
        }
        else if (decision is RestartDecision.GiveUp giveUp && _connection is { } connection)
        {
            _policy = new RestartPolicy();
            ToDaemon(new Input.DriverFailed(connection, Service, act.Token, giveUp.Reason));
        }
    }

    // Not after a stop, and not without a lease: what it restarts it may run.
    private void StartAgain(Act ended)
    {
        if (_mayRun && _act is null && _token == ended.Token && _current is null && _lease.IsValid(machine.LocalNow.Microseconds))
        {
            _act = world.Acting.Begin(machine, Name, Instance, Service, _token);
        }
    }

    // A stop script that hangs stops nothing, whatever the clock says. That two may then run is what the operator of `takeover` has accepted.
    private bool IsLeftRunning()
    {
        var isLeft = Trouble.HangsInStop && !plan.StopsForCertain;
        if (isLeft && _act is not null && world.Scenario.Services.First(service => service.Name == Service).OnStopFailure == Core.Cluster.OnStopFailure.Takeover)
        {
            world.Acting.Excuse(_act);
        }

        return isLeft;
    }

    // Where stopping is not certain, being told to be quick helps nobody.
    private bool IsTroubledBy(TriggerCall call) => _mayRun && Trouble.HangsInStop && (!call.Kill || !plan.StopsForCertain);
}

/// <summary>How a driver misbehaves when it is told something. Errors are its answers; null: it does what it is told.</summary>
internal sealed record DriverTrouble(string? StartError = null, string? StopError = null, bool HangsInStart = false, bool HangsInStop = false)
{
    public static readonly DriverTrouble None = new();
}
