using System.Text;
using Clustd.Client;
using Clustd.Drivers;
using Clustd.Drivers.Processes;
using Clustd.Drivers.Vip;

namespace Clustd.Guard;

/// <summary>
/// The one thread of <c>clustd guard --addresses</c>: has the addresses of a vip driver while the lease lasts and the driver lives, and takes them away at its end, at the driver's, or when it is told. On stdout it says, a line each:
/// <c>held</c>, <c>failed WHY</c>, <c>not WHY</c> (an <c>again</c> that failed), <c>lease INSTANT</c> (taken), <c>note TEXT</c>, <c>ending WHY</c>, <c>gone</c> (the proof). After every wake: take in what has arrived, THEN read the clock, then act.
/// </summary>
internal sealed class AddressGuardLoop(AddressGuardSpec spec, byte[] behindSpec)
{
    private const long ReleaseAgainMicros = 10_000, StuckAfterMicros = 200_000;
    private const int DrainReadsMax = 16;

    private readonly StringBuilder _orders = new(Encoding.UTF8.GetString(behindSpec));
    private readonly int _timer = LinuxCalls.CreateTimer();
    private long _leaseEnd = spec.LeaseEnd;
    private bool _isRenewed, _isAgain, _driverDied;
    private string? _ending;

    private static long Now => DriverClock.NowUs;

    /// <summary>Runs until nothing is left here. True when the driver has died meanwhile, and somebody else must tell the daemon.</summary>
    public bool Run()
    {
        LinuxCalls.SetNonBlocking(GuardProgram.Stdin);
        LinuxCalls.SetNonBlocking(GuardProgram.Stdout);
        TakeOrders();
        if (IsEnding())
        {
            Say($"failed {_ending} before the start");
            Say("gone");
            return _driverDied;
        }
        AddressHolder holder;
        try
        {
            holder = new AddressHolder(spec, text => Say($"note {text}"));
        }
        catch (Exception e)
        {
            Say($"failed {e.Message}");
            Say("gone"); // nothing was begun
            return _driverDied;
        }
        using (holder)
        {
            Hold(holder);
            if (!_driverDied) Say($"ending {_ending ?? "it could not be begun"}");
            Release(holder);
        }
        Say("gone");
        return _driverDied;
    }

    private void Hold(AddressHolder holder)
    {
        try
        {
            holder.Prepare();
            while (holder.Check is { } check && !IsEnding() && !check.IsOver(Now))
            {
                check.Step(Now);
                Wait(check.NextAtUs, check.Descriptors);
                TakeOrders();
                SayTaken();
            }
            holder.Check?.Step(Now);
            if (IsEnding())
            {
                Say($"failed {_ending}");
                return;
            }
            holder.Take(_leaseEnd);
            Say("held");
        }
        catch (Exception e)
        {
            _ending = e.Message;
            Say($"failed {e.Message}");
            return;
        }
        TakeOrders();
        while (!IsEnding())
        {
            Act(holder);
            Wait(holder.Schedule.NextAtUs, holder.Descriptor < 0 ? [] : [holder.Descriptor]);
            TakeOrders();
        }
    }

    private void Act(AddressHolder holder)
    {
        string answer = "held";
        try
        {
            if (_isAgain) holder.Again(_leaseEnd);
            else if (_isRenewed) holder.Renew(_leaseEnd);
        }
        catch (Exception e)
        {
            answer = $"not {e.Message}";
            if (!_isAgain) Say($"note {e.Message}");
        }
        if (_isAgain) Say(answer);
        _isAgain = false;
        SayTaken();
        holder.Hear(Now);
        if (holder.Schedule.IsDue(Now) && !IsEnding()) holder.Tell();
    }

    // The driver takes a guard that does not say so for frozen.
    private void SayTaken()
    {
        if (_isRenewed) Say($"lease {_leaseEnd}");
        _isRenewed = false;
    }

    // Until it has succeeded: an address that is still here must never be called gone. The driver, if there is one, has an end to its patience.
    private void Release(AddressHolder holder)
    {
        long begun = Now;
        bool saidStuck = false;
        while (true)
        {
            string? left;
            try
            {
                left = holder.Release();
            }
            catch (Exception e)
            {
                left = e.Message;
            }
            if (left is null) return;
            if (!saidStuck && Now - begun > StuckAfterMicros)
            {
                saidStuck = true;
                Say($"note Cannot take away {left}. It is tried again until it is gone; remove it by hand (`ip address`).");
            }
            LinuxCalls.Poll([], ReleaseAgainMicros);
        }
    }

    private bool IsEnding()
    {
        if (_ending is null && Now >= _leaseEnd) _ending = "the lease is over";
        return _ending is not null;
    }

    // All that are there: after a freeze the newest lease may be the last line in the pipe.
    private void TakeOrders()
    {
        Span<byte> piece = stackalloc byte[4096];
        for (int i = 0; i < DrainReadsMax && !_driverDied; i++)
        {
            int count = LinuxCalls.Read(GuardProgram.Stdin, piece);
            if (count < 0) break;
            if (count == 0) (_driverDied, _ending) = (true, _ending ?? "the driver died");
            else _orders.Append(Encoding.UTF8.GetString(piece[..count]));
        }
        string all = _orders.ToString();
        int end = all.LastIndexOf('\n');
        if (end < 0) return;
        _orders.Remove(0, end + 1);
        foreach (var range in all.AsSpan(0, end).Split('\n')) Obey(GuardOrder.Parse(all.AsSpan(0, end)[range]));
    }

    private void Obey(GuardOrder? order)
    {
        switch (order)
        {
            case GuardOrder.Lease lease:
                (_leaseEnd, _isRenewed) = (lease.End, true);
                break;
            case GuardOrder.Stop stop:
                _ending ??= stop.Reason;
                break;
            case GuardOrder.Kill:
                _ending ??= "killed";
                break;
            case GuardOrder.Again:
                _isAgain = true;
                break;
        }
    }

    private void Wait(long wakeAt, IEnumerable<int> descriptors)
    {
        Span<LinuxCalls.PollDescriptor> wait = stackalloc LinuxCalls.PollDescriptor[4];
        int count = 0;
        wait[count++] = new() { Descriptor = _timer, Events = LinuxCalls.POLLIN };
        if (!_driverDied) wait[count++] = new() { Descriptor = GuardProgram.Stdin, Events = LinuxCalls.POLLIN };
        foreach (int descriptor in descriptors.Take(2)) wait[count++] = new() { Descriptor = descriptor, Events = LinuxCalls.POLLIN };
        // A timer that counts sleep: ppoll's own timeout would let the lease run out unseen while the machine was suspended.
        LinuxCalls.SetTimer(_timer, Math.Max(0, Math.Min(wakeAt, _leaseEnd) - Now));
        LinuxCalls.Poll(wait[..count], -1);
    }

    // Short and few: if they do not fit into the pipe, nobody reads them.
    private static void Say(string line) => LinuxCalls.Write(GuardProgram.Stdout, Encoding.UTF8.GetBytes(line.ReplaceLineEndings(" ") + "\n"));
}
