using Clustd.Core;

namespace Clustd.Simulation;

/// <summary>How what a driver runs comes to its end without its daemon: its lease is over, or its process has died and a guard is left.</summary>
internal sealed partial class SimulatedDriver
{
    // Killing starts at the end of the lease and cannot be called off: what it runs is gone at the last instant that kill_timeout and guard permit.
    private void PlanLeaseEnd()
    {
        var version = ++_leaseVersion;
        var end = new Instant(_lease.EndsAt!.Value);
        world.Events.At(machine.Clock.TrueTimeOf(end), () =>
        {
            if (version == _leaseVersion && machine.LocalNow < end)
            {
                world.Events.At(Math.Max(machine.HostFrozenUntil, world.Events.Now + 1), PlanLeaseEnd); // The clock stood still meanwhile.
            }
            else if (version == _leaseVersion && _mayRun && !_killing)
            {
                BeginKill(end);
            }
        });
    }

    private void BeginKill(Instant end)
    {
        _killing = true;
        var process = _process;
        var last = end + (_killTimeout * plan.KillPromptness) + (LeaseTiming.GuardOf(world.Scenario.Lease) * plan.KillLateness);
        world.Note(machine.Id.Value, $"driver {Instance}'s lease is over, it stops within {(last - end).TotalMilliseconds} ms");
        world.Events.At(machine.Clock.TrueTimeOf(last) - 1, () => FinishKill(process));
    }

    private void FinishKill(int process)
    {
        if (process != _process)
        {
            return;
        }

        if (machine.HostFrozenUntil > world.Events.Now)
        {
            if (_act is not null)
            {
                world.Acting.Excuse(_act);
            }

            world.Events.At(machine.HostFrozenUntil + chance.Between(1, 5_000), () => FinishKill(process));
            return;
        }

        _killing = false;
        if (IsLeftRunning())
        {
            return;
        }

        var token = _token;
        Stopped("its lease was over");
        if (_current is { } call)
        {
            Answer(call, call.IsMaster ? "the lease was over" : null);
        }
        else
        {
            if (_connection is not null)
            {
                ToDaemon(new Input.DriverStopped(Name, Instance, Service, token, "the lease was over"));
            }

            Pump();
        }
    }

    private void GuardKills(Act act, string instance, Token token)
    {
        if (machine.HostFrozenUntil > world.Events.Now)
        {
            world.Acting.Excuse(act); // the killer is frozen
            world.Events.At(machine.HostFrozenUntil, () => GuardKills(act, instance, token));
            return;
        }

        world.Acting.End(act, "the guard killed it");
        SendProof(instance, token, tries: 20);
    }

    private void SendProof(string instance, Token token, int tries)
    {
        if (machine.Answers)
        {
            machine.Post(new Input.DriverStopped(Name, instance, Service, token, "the guard saw the last process end"));
        }
        else if (tries > 0 && machine.HostIsUp)
        {
            world.Events.After(100_000, () => SendProof(instance, token, tries - 1));
        }
    }
}
