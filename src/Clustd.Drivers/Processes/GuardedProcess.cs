using System.Text;
using System.Text.Json;
using Clustd.Client;

namespace Clustd.Drivers.Processes;

/// <summary>How it went out: <see cref="Left"/> is null when it is proven that nothing is left, else it says what is.</summary>
internal sealed record GuardedEnd(string? Left, string Reason)
{
    public bool IsProven => Left is null;
}

/// <summary>
/// The driver's end of a guard: passes orders and the lease on, hears what happens. A thread of its own listens, and is the second killer: when the guard
/// has not said "stopped" in time (it is frozen, or was killed), it is killed, and what it held falls to this process and is killed here.
/// </summary>
internal sealed class GuardedProcess
{
    /// <summary>Where a guard finds the descriptors of <see cref="GuardSpec.IsAttached"/>: this one and the two after it.</summary>
    public const int AttachedFirst = 3;

    private const int LastLinesMax = 10;
    private static readonly TimeSpan OrphansLimit = TimeSpan.FromMilliseconds(500);

    private readonly Lock _gate = new();
    private readonly TaskCompletionSource<int> _started = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<ChildExit> _exited = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<GuardedEnd> _gone = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Queue<string> _lastLines = new();
    private readonly Action<string> _output;
    private readonly GuardSpec _spec;
    private readonly int _pid, _said, _wakeRead;
    private int _orders, _wakeWrite;
    private long _leaseEnd;
    private long _stopLimit = long.MaxValue;
    private string? _reason;
    private bool _scriptDone;

    private GuardedProcess(GuardSpec spec, int pid, int orders, int said, Action<string> output)
    {
        (_spec, _pid, _orders, _said, _output) = (spec, pid, orders, said, output);
        _leaseEnd = spec.IsScript ? long.MaxValue : spec.LeaseEnd;
        (_wakeRead, _wakeWrite) = LinuxCalls.Pipe();
        LinuxCalls.SetNonBlocking(_wakeRead);
        LinuxCalls.SetNonBlocking(_wakeWrite);
    }

    /// <summary>The guard's own process id.</summary>
    public int GuardPid => _pid;

    /// <summary>Completes with the pid when exec has succeeded; fails with <see cref="AppFailedException"/> when it has not.</summary>
    public Task<int> Started => _started.Task;

    /// <summary>Completes when the app or script itself has ended. Cancelled when that cannot be known.</summary>
    public Task<ChildExit> Exited => _exited.Task;

    /// <summary>Completes when nothing is left, or when that could not be brought about.</summary>
    public Task<GuardedEnd> Gone => _gone.Task;

    /// <summary>How the app itself ended; null: it has not, or that cannot be known. Final once <see cref="Gone"/> is.</summary>
    public ChildExit? Exit { get; private set; }

    /// <summary>The app ended before anybody told it to: no stop, no end of the lease, no death of the guard.</summary>
    public bool EndedByItself { get; private set; }

    /// <summary>The last lines of output, oldest first.</summary>
    public IReadOnlyList<string> LastLines
    {
        get
        {
            lock (_gate) return [.. _lastLines];
        }
    }

    /// <summary>Starts guard and app. <paramref name="output"/> is called for each line of output, on the listening thread: it must not block.</summary>
    public static GuardedProcess Start(GuardCommand command, GuardSpec spec, Action<string> output)
    {
        (int ordersRead, int ordersWrite) = LinuxCalls.Pipe();
        (int saidRead, int saidWrite) = LinuxCalls.Pipe();
        int pid;
        try
        {
            // The secret is no business of a process that runs next to the app; it gets what it needs on the pipe.
            var environment = ChildStart.InheritedEnvironment(AppEnvironment.IsOurs);
            // Copied before 0 and 1 become the guard's own pipes.
            (int, int)[] ours = spec.IsAttached ? [(0, AttachedFirst), (1, AttachedFirst + 1), (2, AttachedFirst + 2)] : [];
            pid = Orphans.StartGuard(() => ChildStart.Spawn(
                command.File, [command.File, .. command.Arguments], environment, [.. ours, (ordersRead, 0), (saidWrite, 1)], ownSession: true));
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
        byte[] line = [.. JsonSerializer.SerializeToUtf8Bytes(spec, GuardSpecJson.Default.GuardSpec), (byte)'\n'];
        LinuxCalls.WriteAll(ordersWrite, line);
        LinuxCalls.SetNonBlocking(ordersWrite); // a frozen guard must not freeze its driver: orders that do not fit are not needed any more
        var process = new GuardedProcess(spec, pid, ordersWrite, saidRead, output);
        new Thread(process.Listen) { IsBackground = true, Name = $"guard {pid}" }.Start();
        return process;
    }

    /// <summary>Passes the newest end of the lease on, µs on <see cref="DriverClock"/>.</summary>
    public void Renew(long leaseEnd)
    {
        lock (_gate)
        {
            if (_spec.IsScript) return;
            bool isShorter = leaseEnd < _leaseEnd;
            _leaseEnd = leaseEnd;
            Order($"lease {leaseEnd}");
            if (isShorter) Wake();
        }
    }

    /// <summary>For <see cref="GuardSpec.Holds"/>: a cgroup in which it runs.</summary>
    public void Hold(string directory)
    {
        lock (_gate) Order($"hold {directory}");
    }

    /// <summary>TERM now; everything gone at <paramref name="limit"/>, µs on <see cref="DriverClock"/>.</summary>
    public void Stop(long limit, string reason)
    {
        lock (_gate)
        {
            if (_scriptDone) return;
            _stopLimit = Math.Min(_stopLimit, limit);
            Order($"stop {limit} {reason.ReplaceLineEndings(" ")}");
            Wake();
        }
    }

    /// <summary>TERM now; everything gone within the kill timeout.</summary>
    public void Kill()
    {
        lock (_gate)
        {
            if (_scriptDone) return;
            _stopLimit = Math.Min(_stopLimit, DriverClock.NowUs + _spec.KillTimeoutMicros);
            Order("kill");
            Wake();
        }
    }

    private void Listen()
    {
        var lines = new LineBuffer();
        var buffer = new byte[32 * 1024];
        bool finalWord = false;
        Span<LinuxCalls.PollDescriptor> wait = stackalloc LinuxCalls.PollDescriptor[2];
        while (true)
        {
            long now = DriverClock.NowUs;
            long deadline = finalWord ? long.MaxValue : OwnDeadline();
            if (now >= deadline) LinuxCalls.kill(_pid, LinuxCalls.SIGKILL);
            wait[0] = new() { Descriptor = _said, Events = LinuxCalls.POLLIN };
            wait[1] = new() { Descriptor = _wakeRead, Events = LinuxCalls.POLLIN };
            LinuxCalls.Poll(wait, deadline == long.MaxValue ? -1 : Math.Max(1000, deadline - now));
            if (wait[1].Ready != 0) LinuxCalls.Read(_wakeRead, buffer);
            if (wait[0].Ready == 0) continue;
            int count = LinuxCalls.Read(_said, buffer);
            if (count <= 0) break;
            foreach (string line in lines.Take(buffer.AsSpan(0, count))) finalWord |= Hear(line);
        }
        if (!finalWord) LinuxCalls.kill(_pid, LinuxCalls.SIGKILL); // it closed its mouth without a last word: dead, or as good as
        Orphans.GuardEnded(_pid);
        if (!finalWord) GuardDied();
        lock (_gate)
        {
            foreach (int descriptor in (ReadOnlySpan<int>)[_orders, _said, _wakeRead, _wakeWrite]) LinuxCalls.close(descriptor);
            _orders = _wakeWrite = -1;
        }
    }

    // True for the guard's last word.
    private bool Hear(string line)
    {
        if (line.StartsWith("| ", StringComparison.Ordinal))
        {
            string text = line[2..];
            lock (_gate)
            {
                if (_lastLines.Count == LastLinesMax) _lastLines.Dequeue();
                _lastLines.Enqueue(text);
            }
            _output(text);
            return false;
        }
        int space = line.IndexOf(' ');
        string rest = space < 0 ? "" : line[(space + 1)..];
        switch (space < 0 ? line : line[..space])
        {
            case "started":
                _started.TrySetResult(int.Parse(rest));
                return false;
            case "failed":
                _reason = rest;
                _started.TrySetException(new AppFailedException(rest));
                return false;
            case "ending":
                _reason = rest;
                return false;
            case "exited":
                var exit = ChildExit.Parse(rest);
                (Exit, EndedByItself) = (exit, _reason is null);
                _reason ??= exit.Sentence;
                _exited.TrySetResult(exit);
                return false;
            case "done":
                lock (_gate) (_scriptDone, _stopLimit) = (true, long.MaxValue);
                return false;
            case "dropped":
                _output($"({rest} lines dropped: the app writes faster than they can be logged)");
                return false;
            case "stuck":
                _output($"(cannot kill {rest})");
                return false;
            case "stopped":
            case "released":
                End(new GuardedEnd(null, _reason ?? "stopped"));
                return true;
            default:
                return false;
        }
    }

    private void GuardDied()
    {
        if (_scriptDone)
        {
            Orphans.LetThemGo();
            End(new GuardedEnd(null, _reason ?? "done"));
            return;
        }
        var cgroup = OwnCgroup.Of(_pid);
        cgroup?.Kill();
        string? left = Orphans.KillAll(OrphansLimit);
        cgroup?.Remove();
        End(new GuardedEnd(left, _reason ?? "its guard was killed"));
    }

    private void End(GuardedEnd end)
    {
        _started.TrySetException(new AppFailedException(end.Reason));
        _ = _started.Task.Exception; // nobody may be waiting for the start: not an unobserved error
        _exited.TrySetCanceled();
        _gone.TrySetResult(end);
    }

    // Half a margin after the guard's KILL, and half a margin before the moment at which everything must be seen gone.
    private long OwnDeadline()
    {
        lock (_gate)
        {
            long afterLease = _leaseEnd > long.MaxValue - _spec.KillTimeoutMicros ? long.MaxValue : _leaseEnd + _spec.KillTimeoutMicros;
            long deadline = Math.Min(afterLease, _stopLimit);
            return deadline == long.MaxValue ? deadline : deadline - Math.Min(50_000, _spec.KillTimeoutMicros / 8);
        }
    }

    // At most a few hundred bytes: below PIPE_BUF a pipe takes a line whole or not at all.
    private void Order(string line)
    {
        if (_orders < 0) return;
        byte[] bytes = Encoding.UTF8.GetBytes(line.Length > 1000 ? line[..1000] + "\n" : line + "\n");
        LinuxCalls.Write(_orders, bytes);
    }

    private void Wake()
    {
        if (_wakeWrite >= 0) LinuxCalls.Write(_wakeWrite, "x"u8);
    }
}

/// <summary>Cuts bytes into lines; what is not UTF-8 becomes U+FFFD. The guard bounds the length of a line.</summary>
internal sealed class LineBuffer
{
    private readonly List<byte> _partial = [];

    public List<string> Take(ReadOnlySpan<byte> bytes)
    {
        var lines = new List<string>();
        int newline;
        while ((newline = bytes.IndexOf((byte)'\n')) >= 0)
        {
            _partial.AddRange(bytes[..newline]);
            lines.Add(Encoding.UTF8.GetString([.. _partial]));
            _partial.Clear();
            bytes = bytes[(newline + 1)..];
        }
        _partial.AddRange(bytes);
        return lines;
    }
}
