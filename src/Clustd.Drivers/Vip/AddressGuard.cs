using System.Globalization;
using System.Text;
using System.Text.Json;
using Clustd.Client;
using Clustd.Drivers.Processes;

namespace Clustd.Drivers.Vip;

/// <summary>
/// The driver's end of a process that holds addresses: passes the lease on, hears what happens. A thread of its own listens, and is the second one to take the addresses away: when the guard has not said "gone" in time (it is frozen,
/// or was killed), it is killed, seen dead, and what it held is removed here.
/// </summary>
internal sealed class AddressGuard
{
    private readonly Lock _gate = new();
    private readonly TaskCompletionSource<GuardedEnd> _gone = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly AddressGuardSpec _spec;
    private readonly IReadOnlyList<VipAddress> _addresses;
    private readonly Action<string> _note;
    private readonly int _pid, _said, _wakeRead;
    private TaskCompletionSource _held = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _orders, _wakeWrite;
    private long _leaseEnd, _leaseTaken, _stopLimit = long.MaxValue;
    private string? _reason;

    private AddressGuard(AddressGuardSpec spec, int pid, int orders, int said, Action<string> note)
    {
        (_spec, _pid, _orders, _said, _note) = (spec, pid, orders, said, note);
        (_addresses, _leaseEnd, _leaseTaken) = (spec.ParseAddresses(), spec.LeaseEnd, spec.LeaseEnd);
        (_wakeRead, _wakeWrite) = LinuxCalls.Pipe();
        LinuxCalls.SetNonBlocking(_wakeRead);
        LinuxCalls.SetNonBlocking(_wakeWrite);
    }

    public int Pid => _pid;

    /// <summary>Completes when the addresses are here, or here again after <see cref="Again"/>; fails with the reason when they cannot be.</summary>
    public Task Held
    {
        get
        {
            lock (_gate) return _held.Task;
        }
    }

    /// <summary>Completes when they are gone, or when that could not be brought about.</summary>
    public Task<GuardedEnd> Gone => _gone.Task;

    /// <param name="note">Called for each thing that the guard has to say to people, on the listening thread.</param>
    public static AddressGuard Start(GuardCommand command, AddressGuardSpec spec, Action<string> note)
    {
        (int ordersRead, int ordersWrite) = LinuxCalls.Pipe();
        (int saidRead, int saidWrite) = LinuxCalls.Pipe();
        int pid;
        try
        {
            var environment = ChildStart.InheritedEnvironment(AppEnvironment.IsOurs);
            pid = Orphans.StartGuard(() => ChildStart.Spawn(
                command.File, [command.File, .. command.Arguments, "--addresses"], environment, [(ordersRead, 0), (saidWrite, 1)], ownSession: true));
        }
        catch
        {
            LinuxCalls.close(ordersWrite);
            LinuxCalls.close(saidRead);
            throw;
        }
        finally
        {
            LinuxCalls.close(ordersRead);
            LinuxCalls.close(saidWrite);
        }
        LinuxCalls.WriteAll(ordersWrite, [.. JsonSerializer.SerializeToUtf8Bytes(spec, AddressGuardSpecJson.Default.AddressGuardSpec), (byte)'\n']);
        LinuxCalls.SetNonBlocking(ordersWrite); // a frozen guard must not freeze its driver
        var guard = new AddressGuard(spec, pid, ordersWrite, saidRead, note);
        new Thread(guard.Listen) { IsBackground = true, Name = $"address guard {pid}" }.Start();
        return guard;
    }

    /// <summary>Passes the newest end of the lease on, µs on <see cref="DriverClock"/>.</summary>
    public void Renew(long leaseEnd)
    {
        lock (_gate)
        {
            bool isShorter = leaseEnd < _leaseEnd;
            _leaseEnd = leaseEnd;
            Order($"lease {leaseEnd}");
            if (isShorter) Wake();
        }
    }

    /// <summary>Put back what is missing. The task completes when it is so, and fails with the reason.</summary>
    public Task Again()
    {
        lock (_gate)
        {
            if (_gone.Task.IsCompleted) return Task.FromException(new DriverFailedException("The guard that held the addresses is gone."));
            _held = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            Order("again");
            return _held.Task;
        }
    }

    /// <summary>Take them away now; by <paramref name="limit"/>, µs on <see cref="DriverClock"/>, they are gone, with the guard or without it.</summary>
    public void Stop(long limit, string reason)
    {
        lock (_gate)
        {
            _stopLimit = Math.Min(_stopLimit, limit);
            Order($"stop {limit} {reason.ReplaceLineEndings(" ")}");
            Wake();
        }
    }

    private void Listen()
    {
        var lines = new LineBuffer();
        var buffer = new byte[8 * 1024];
        bool isProven = false;
        Span<LinuxCalls.PollDescriptor> wait = stackalloc LinuxCalls.PollDescriptor[2];
        while (true)
        {
            long now = DriverClock.NowUs;
            long deadline = isProven ? long.MaxValue : OwnDeadline();
            if (now >= deadline) LinuxCalls.kill(_pid, LinuxCalls.SIGKILL);
            wait[0] = new() { Descriptor = _said, Events = LinuxCalls.POLLIN };
            wait[1] = new() { Descriptor = _wakeRead, Events = LinuxCalls.POLLIN };
            LinuxCalls.Poll(wait, deadline == long.MaxValue ? -1 : Math.Max(1000, deadline - now));
            if (wait[1].Ready != 0) LinuxCalls.Read(_wakeRead, buffer);
            if (wait[0].Ready == 0) continue;
            int count = LinuxCalls.Read(_said, buffer);
            if (count <= 0) break;
            foreach (string line in lines.Take(buffer.AsSpan(0, count))) isProven |= Hear(line);
        }
        if (!isProven) LinuxCalls.kill(_pid, LinuxCalls.SIGKILL);
        Orphans.GuardEnded(_pid); // seen dead: nothing that it does can come after what is done here
        End(isProven ? null : RemoveHere());
        lock (_gate)
        {
            foreach (int descriptor in (ReadOnlySpan<int>)[_orders, _said, _wakeRead, _wakeWrite]) LinuxCalls.close(descriptor);
            _orders = _wakeWrite = -1;
        }
    }

    // True for the guard's last word.
    private bool Hear(string line)
    {
        int space = line.IndexOf(' ');
        string rest = space < 0 ? "" : line[(space + 1)..];
        switch (space < 0 ? line : line[..space])
        {
            case "held":
                WithHeld(held => held.TrySetResult());
                return false;
            case "failed":
                _reason ??= rest;
                WithHeld(held => Fail(held, rest));
                return false;
            case "not":
                WithHeld(held => Fail(held, rest));
                return false;
            case "ending":
                _reason ??= rest;
                return false;
            case "lease" when long.TryParse(rest, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long taken):
                lock (_gate) _leaseTaken = taken;
                return false;
            case "note":
                _note(rest);
                return false;
            case "gone":
                return true;
            default:
                return false;
        }
    }

    private string? RemoveHere()
    {
        _reason ??= "its guard was killed";
        try
        {
            return AddressCleaning.Remove(_addresses, _spec.Interface, onlyOurs: false);
        }
        catch (Exception e)
        {
            return $"{string.Join(", ", _addresses)}: {e.Message}";
        }
    }

    private void End(string? left)
    {
        string reason = _reason ?? "stopped";
        WithHeld(held => Fail(held, reason));
        _gone.TrySetResult(new GuardedEnd(left, reason));
    }

    private void WithHeld(Action<TaskCompletionSource> then)
    {
        TaskCompletionSource held;
        lock (_gate) held = _held;
        then(held);
    }

    private static void Fail(TaskCompletionSource held, string why)
    {
        held.TrySetException(new DriverFailedException(why));
        _ = held.Task.Exception; // nobody may be waiting for it
    }

    // The guard takes them away when the lease is over, not when everything must be gone: half of the time in between is for it, the other half for us. A lease that it has not taken is none: it is frozen, its gate closes, and
    // while we are well another guard can have them in its place.
    private long OwnDeadline()
    {
        lock (_gate)
        {
            long end = Math.Min(_leaseEnd, _leaseTaken);
            long afterLease = end > long.MaxValue - _spec.KillTimeoutMicros ? long.MaxValue : end + _spec.KillTimeoutMicros / 2;
            return Math.Min(afterLease, _stopLimit == long.MaxValue ? _stopLimit : _stopLimit - Math.Min(500_000, _spec.KillTimeoutMicros / 2));
        }
    }

    // Below PIPE_BUF a pipe takes a line whole or not at all.
    private void Order(string line)
    {
        if (_orders >= 0) LinuxCalls.Write(_orders, Encoding.UTF8.GetBytes(line.Length > 1000 ? line[..1000] + "\n" : line + "\n"));
    }

    private void Wake()
    {
        if (_wakeWrite >= 0) LinuxCalls.Write(_wakeWrite, "x"u8);
    }
}
