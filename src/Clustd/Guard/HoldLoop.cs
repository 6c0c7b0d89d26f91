using System.Text;
using Clustd.Client;
using Clustd.Drivers.Holding;
using Clustd.Drivers.Processes;

namespace Clustd.Guard;

/// <summary>
/// A guard of what systemd or an engine runs: waits for the end of the lease, of the driver, or for an order, and then stops it, by its manager and, from half of the kill timeout on, by SIGKILL to its cgroups. It goes on until
/// nothing is left. On stdout it says, a line each: <c>started PID</c> (its own: it has the lease), <c>failed WHY</c>, <c>ending WHY</c>, what cannot be stopped behind <c>| </c>, <c>stopped</c> (the proof).
/// </summary>
internal sealed class HoldLoop(GuardSpec spec, HoldSpec holds, byte[] behindSpec)
{
    private const int DrainReadsMax = 16;
    private const long LookMicros = 5_000, SayStuckMicros = 10_000_000, GiveUpMicros = 60_000_000;

    private readonly Lock _gate = new();
    private readonly Dictionary<string, Cgroup> _cgroups = new(StringComparer.Ordinal);
    private readonly StringBuilder _orders = new(Encoding.UTF8.GetString(behindSpec));
    private readonly int _timer = LinuxCalls.CreateTimer();
    private long _leaseEnd = spec.LeaseEnd;
    private long _stopLimit = long.MaxValue;
    private bool _driverDied;
    private string? _ending;

    private static long Now => DriverClock.NowUs;

    /// <summary>Runs until nothing is left. True when the driver has died meanwhile, and somebody else must tell the daemon; false also when it could not be proven.</summary>
    public bool Run()
    {
        LinuxCalls.SetNonBlocking(GuardProgram.Stdin);
        LinuxCalls.SetNonBlocking(GuardProgram.Stdout);
        Say($"started {Environment.ProcessId}");
        TakeOrders();
        while (!IsEnding())
        {
            Wait();
            TakeOrders();
        }
        Say($"ending {_ending}");
        if (!IsStopped()) return false;
        Say("stopped");
        return _driverDied;
    }

    private bool IsStopped()
    {
        // No later than half of the kill timeout after the lease; at once, if it is over for longer. A driver that says stop has stopped it already.
        long begun = Now;
        long killAt = Math.Min(Math.Min(begun, _leaseEnd) + spec.KillTimeoutMicros / 2, _stopLimit);
        while (StopOnce(killAt) is { } left)
        {
            Say($"| {holds.What} is to be stopped ({_ending}), and cannot be: {left}");
            TakeOrders();
            // Nothing runs where something ran, and nobody is there to ask: the next driver process is told by the daemon what to do.
            if (_driverDied && Now - begun > GiveUpMicros && Cgroups().All(each => each.IsEmpty)) return false;
        }
        TakeOrders(); // the driver may have died meanwhile
        return true;
    }

    // This thread kills, too, and waits for nobody: the asking is done by others, and a busy machine may let them wait.
    private string? StopOnce(long killAt)
    {
        long limit = Now + SayStuckMicros;
        var asking = Task.Run(() => OuterStop.RunAsync(holds.Held(), Cgroups, killAt, limit, CancellationToken.None));
        while (!asking.IsCompleted)
        {
            if (Now >= killAt)
                foreach (var each in Cgroups().Where(each => !each.IsEmpty)) each.Kill();
            LinuxCalls.Poll([], LookMicros);
        }
        return asking.GetAwaiter().GetResult();
    }

    private IReadOnlyList<Cgroup> Cgroups()
    {
        // Orders that come during the stop name cgroups of what was just being started.
        TakeOrders();
        lock (_gate) return [.. _cgroups.Values];
    }

    private bool IsEnding()
    {
        if (_ending is null && Now >= _leaseEnd) _ending = "the lease is over";
        return _ending is not null;
    }

    // All that are there: after a freeze the newest lease may be the last line in the pipe.
    private void TakeOrders()
    {
        lock (_gate)
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
    }

    private void Obey(GuardOrder? order)
    {
        switch (order)
        {
            case GuardOrder.Lease lease:
                _leaseEnd = lease.End;
                break;
            case GuardOrder.Stop stop:
                (_ending, _stopLimit) = (_ending ?? stop.Reason, Math.Min(_stopLimit, stop.Limit));
                break;
            case GuardOrder.Kill:
                _ending ??= "killed";
                break;
            case GuardOrder.Hold hold when Cgroup.At(hold.Directory) is { } cgroup:
                _cgroups[hold.Directory] = cgroup;
                break;
        }
    }

    private void Wait()
    {
        Span<LinuxCalls.PollDescriptor> wait = stackalloc LinuxCalls.PollDescriptor[2];
        wait[0] = new() { Descriptor = _timer, Events = LinuxCalls.POLLIN };
        wait[1] = new() { Descriptor = GuardProgram.Stdin, Events = LinuxCalls.POLLIN };
        // A timer that counts sleep: ppoll's own timeout would let the lease run out unseen while the machine was suspended.
        LinuxCalls.SetTimer(_timer, Math.Max(0, _leaseEnd - Now));
        LinuxCalls.Poll(wait, -1);
    }

    // Short and few: if they do not fit into the pipe, nobody reads them.
    private static void Say(string line) => LinuxCalls.Write(GuardProgram.Stdout, Encoding.UTF8.GetBytes(line.ReplaceLineEndings(" ") + "\n"));
}
