using System.Diagnostics;
using Clustd.Core;

namespace Clustd;

/// <summary>
/// Hands each output of the core to the part of the daemon that performs it. Called within a turn of the loop: each of these must only queue,
/// never wait. A new kind of output that nobody performs does not compile (required) or crashes at first sight (the last arm).
/// </summary>
public sealed record OutputRouter
{
    public required Action<Output.Send> Send { get; init; }

    public required Action<Output.Disconnect> Disconnect { get; init; }

    public required Action<Output.Persist> Persist { get; init; }

    public required Action<Output.DriverAccepted> DriverAccepted { get; init; }

    public required Action<Output.DriverRefused> DriverRefused { get; init; }

    public required Action<Output.Trigger> Trigger { get; init; }

    public required Action<Output.CancelTrigger> CancelTrigger { get; init; }

    public required Action<Output.DriverLease> DriverLease { get; init; }

    public required Action<Output.RequestAnswered> RequestAnswered { get; init; }

    public required Action<Output.BarrierAnswered> BarrierAnswered { get; init; }

    public required Action<Output.Noted> Noted { get; init; }

    public required Action<Output.Departed> Departed { get; init; }

    public required Action<Output.ReadyToRestart> ReadyToRestart { get; init; }

    public required Action<Output.StoreRefused> StoreRefused { get; init; }

    public void Perform(Output output)
    {
        switch (output)
        {
            case Output.Send send:
                Send(send);
                break;
            case Output.Disconnect disconnect:
                Disconnect(disconnect);
                break;
            case Output.Persist persist:
                Persist(persist);
                break;
            case Output.DriverAccepted accepted:
                DriverAccepted(accepted);
                break;
            case Output.DriverRefused refused:
                DriverRefused(refused);
                break;
            case Output.Trigger trigger:
                Trigger(trigger);
                break;
            case Output.CancelTrigger cancel:
                CancelTrigger(cancel);
                break;
            case Output.DriverLease lease:
                DriverLease(lease);
                break;
            case Output.RequestAnswered answered:
                RequestAnswered(answered);
                break;
            case Output.BarrierAnswered answered:
                BarrierAnswered(answered);
                break;
            case Output.Noted noted:
                Noted(noted);
                break;
            case Output.StoreRefused refused:
                StoreRefused(refused);
                break;
            case Output.Departed departed:
                Departed(departed);
                break;
            case Output.ReadyToRestart ready:
                ReadyToRestart(ready);
                break;
            default:
                throw new UnreachableException($"No part of the daemon performs {output.GetType().Name}.");
        }
    }
}
