using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;

namespace Clustd.Simulation;

/// <summary>Performs what the core returns, as the daemon does: on the simulated network, disk and drivers.</summary>
internal sealed partial class SimulatedMachine
{
    private void Perform(IReadOnlyList<Output> outputs)
    {
        var generation = Generation;
        foreach (var output in outputs)
        {
            Perform(output);
            if (generation != Generation)
            {
                return;
            }
        }

        if (Core is not null)
        {
            _world.Checks.AfterStep(this);
            _world.Soak?.Stepped(this, LocalNow);
        }
    }

    // What a message says, whichever way it goes.
    private static PeerBody Unpacked(PeerMessage message) => message.Body switch
    {
        PeerBody.Relay relay => relay.Message.Body,
        PeerBody.Relayed relayed => relayed.Message.Body,
        _ => message.Body,
    };

    private void Perform(Output output)
    {
        switch (output)
        {
            case Output.Send send:
                if (Unpacked(send.Message) is not (PeerBody.Append { Entries.Length: 0 } or PeerBody.AppendAnswer { Success: true } or PeerBody.Echo or PeerBody.Hello))
                {
                    _world.Note(Id.Value, send);
                }

                _world.Checks.Sent(this, send);
                _world.Network.Send(Index, _world.MachineOf(send.To).Index, send.Message);
                break;
            case Output.Disconnect disconnect:
                _world.Note(Id.Value, disconnect);
                _world.Network.Break(Index, _world.MachineOf(disconnect.Machine).Index);
                break;
            case Output.Persist persist:
                _world.Note(Id.Value, persist);
                _world.Checks.Persisting(this, persist);
                Log.Take(persist);
                var generation = Generation;
                Disk.Write(persist, sequence =>
                {
                    if (generation == Generation)
                    {
                        Post(new Input.Persisted(sequence));
                    }
                });
                break;
            case Output.DriverAccepted accepted:
                DriverAt(accepted.Connection)?.Deliver(accepted.Connection, driver => driver.Accepted(accepted));
                break;
            case Output.DriverRefused refused:
                _world.Note(Id.Value, $"refuses a driver: {refused.Reason}");
                DriverAt(refused.Connection)?.Deliver(refused.Connection, driver => driver.Refused());
                break;
            case Output.Trigger trigger:
                _world.Note(Id.Value, $"triggers {DriverAt(trigger.Connection)?.Name}: {trigger.Call.Service} {(trigger.Call.IsMaster ? "start" : "stop")} "
                    + $"token {trigger.Call.Token}{(trigger.Call.Kill ? ", kill" : "")} #{trigger.Call.Sequence}: {trigger.Call.Reason}");
                DriverAt(trigger.Connection)?.Deliver(trigger.Connection, driver => driver.Called(trigger.Call));
                break;
            case Output.CancelTrigger cancel:
                DriverAt(cancel.Connection)?.Deliver(cancel.Connection, driver => driver.Cancelled(cancel.Service, cancel.Sequence));
                break;
            case Output.DriverLease lease:
                DriverAt(lease.Connection)?.Deliver(lease.Connection, driver => driver.Renewed(lease));
                break;
            case Output.BarrierAnswered answered when _world.Readers is { } readers:
                readers.Answered(this, answered);
                break;
            case Output.StoreRefused refused when _world.Scenario.Script is not null:
                _world.Note(Id.Value, refused);
                KillDaemon();
                break;
            case Output.StoreRefused refused when WasSetBack:
                ReplaceWhatWasSetBack(refused);
                break;
            case Output.StoreRefused refused:
                throw new ViolationException(Invariant.NoCrash, $"no disk was set back, but {Id} is told so: {refused.Reason}");
            case Output.Departed:
                _world.Note(Id.Value, "has said goodbye and exits");
                _world.Checks.Departed(this);
                KillDaemon();
                _world.Changed();
                break;
            case Output.ReadyToRestart ready:
                _world.Note(Id.Value, $"exits to be started again, {(ready.HasGrace ? "with" : "without")} a grace");
                KillDaemon();
                _world.Restarts.Exited(this, ready.HasGrace);
                break;
            default:
                _world.Note(Id.Value, output);
                break;
        }
    }

    private SimulatedDriver? DriverAt(DriverConnection connection) => Drivers.Find(driver => driver.IsAt(connection));
}
