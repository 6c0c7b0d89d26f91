using Clustd.Client;
using System.Text;
using Clustd.Drivers.Processes;

namespace Clustd.Guard;

/// <summary>
/// The guard's one thread: orders in, app's output through, KILL when it is due. It also starts the app, because the parent-death signal
/// fires when the starting thread ends, and this one ends last. After every wake: take in what has arrived, THEN read the clock, then act.
/// </summary>
internal sealed class GuardLoop(GuardSpec spec, byte[] behindSpec, IReadOnlyList<string> launchCommand)
{
    private const long StoppingLookMicros = 2_000;   // how often to look whether everybody is gone
    private const long IdleLookMicros = 1_000_000;   // how often to reap what the app orphaned
    private const long RestLookMicros = 50_000;      // the same where a script waits for their end by `kill -0`, which a zombie answers
    private const long StuckAfterMicros = 500_000;   // KILL acts within this time, unless the kernel or a permission is in the way
    private const int DrainReadsMax = 16;

    private readonly KillSchedule _schedule = new(spec.KillTimeoutMicros, spec.IsScript ? long.MaxValue : spec.LeaseEnd);
    private readonly StringBuilder _orders = new(Encoding.UTF8.GetString(behindSpec));
    private readonly OwnCgroup? _cgroup = spec.IsScript ? null : OwnCgroup.TryCreate(LinuxCalls.getpid());
    private readonly int _timer = LinuxCalls.CreateTimer();
    private OutputRelay _output = null!;
    private int _app;
    private int _appEvents = -1;        // readable when the app itself has ended
    private int _complaint = -1;        // from the launch step; its end without a word is success
    private string _complaintText = "";
    private ChildExit? _exit;
    private bool _driverDied;
    private bool _letGo;                // a script that has done its work: what it left in the background is not ours to kill
    private bool _nothingLeft;
    private long _killingSince = long.MaxValue;
    private bool _saidEnding, _saidStuck;

    private static long Now => DriverClock.NowUs;

    /// <summary>Runs until nothing of the app is left. True when the driver has died meanwhile, and somebody else must tell the daemon.</summary>
    public bool Run()
    {
        LinuxCalls.SetNonBlocking(GuardProgram.Stdin);
        LinuxCalls.SetNonBlocking(GuardProgram.Stdout);
        // Orders first: this process may have taken longer to start than the lease in its spec lasts, and the renewals wait in the pipe.
        TakeOrders();
        if (_driverDied || _schedule.Step(Now) != KillStep.None)
        {
            if (!_driverDied) LinuxCalls.WriteAll(GuardProgram.Stdout, Encoding.UTF8.GetBytes($"failed {OneLine(_schedule.Reason ?? "ended")} before the start\nstopped\n"));
            return _driverDied;
        }
        Start();
        while (!_nothingLeft)
        {
            TakeIn();
            Act(Now);
            Reap();
            if (!_nothingLeft) Wait();
        }
        Finish();
        return _driverDied;
    }

    private void Start()
    {
        (int specRead, int specWrite) = LinuxCalls.Pipe();
        (int complaintRead, int complaintWrite) = LinuxCalls.Pipe();
        LinuxCalls.SetNonBlocking(complaintRead);
        _complaint = complaintRead;
        (int input, int output, int error) = spec.IsAttached ? Attached() : Relayed();

        _app = ChildStart.Spawn("/proc/self/exe", launchCommand, ChildStart.InheritedEnvironment(_ => false),
            [(input, 0), (output, 1), (error, 2), (specRead, LaunchStep.SpecDescriptor), (complaintWrite, LaunchStep.ComplaintDescriptor)],
            ownSession: false);
        _appEvents = LinuxCalls.OpenProcess(_app);
        // Also the driver's own: whoever writes to the app, or reads from it, is to see when the app closes its end.
        foreach (int descriptor in (ReadOnlySpan<int>)[input, output, specRead, complaintWrite]) LinuxCalls.close(descriptor);
        if (error != output) LinuxCalls.close(error);
        LinuxCalls.WriteAll(specWrite, LaunchStep.Describe(spec, LinuxCalls.getpid(), _cgroup?.Procs));
        LinuxCalls.close(specWrite);
    }

    // The driver's stdin, stdout and stderr: nothing passes through here.
    private (int Input, int Output, int Error) Attached()
    {
        _output = new OutputRelay(source: -1, GuardProgram.Stdout);
        return (GuardedProcess.AttachedFirst, GuardedProcess.AttachedFirst + 1, GuardedProcess.AttachedFirst + 2);
    }

    private (int Input, int Output, int Error) Relayed()
    {
        (int outputRead, int outputWrite) = LinuxCalls.Pipe();
        LinuxCalls.SetNonBlocking(outputRead);
        _output = new OutputRelay(outputRead, GuardProgram.Stdout);
        int nothing = LinuxCalls.MoveUp(LinuxCalls.open("/dev/null", LinuxCalls.O_RDONLY | LinuxCalls.O_CLOEXEC, 0));
        return (nothing, outputWrite, outputWrite);
    }

    private void TakeIn()
    {
        TakeOrders();
        if (_driverDied && !_output.DriverIsDead) DriverDied();
        if (_complaint >= 0) ListenToLaunch();
        if (_output.WantsToRead(Now)) _output.ReadSome(Now);
        _output.WriteSome(Now);
    }

    // All that are there: after a freeze the newest lease may be the last line in the pipe.
    private void TakeOrders()
    {
        Span<byte> piece = stackalloc byte[4096];
        for (int i = 0; i < DrainReadsMax && !_driverDied; i++)
        {
            int count = LinuxCalls.Read(GuardProgram.Stdin, piece);
            if (count < 0) break;
            if (count == 0) _driverDied = true;
            else _orders.Append(Encoding.UTF8.GetString(piece[..count]));
        }
        ObeyLines();
    }

    private void DriverDied()
    {
        _output.DriverIsGone();
        if (!_letGo) _schedule.EndSoon(Now, "the driver died");
    }

    private void ObeyLines()
    {
        string all = _orders.ToString();
        int end = all.LastIndexOf('\n');
        if (end < 0) return;
        _orders.Remove(0, end + 1);
        foreach (var range in all.AsSpan(0, end).Split('\n'))
        {
            switch (GuardOrder.Parse(all.AsSpan(0, end)[range]))
            {
                case GuardOrder.Lease lease when !spec.IsScript:
                    _schedule.Renew(lease.End);
                    break;
                case GuardOrder.Stop stop when !_letGo:
                    _schedule.End(Now, stop.Limit, stop.Reason);
                    break;
                case GuardOrder.Kill when !_letGo:
                    _schedule.EndSoon(Now, "killed");
                    break;
            }
        }
    }

    private void ListenToLaunch()
    {
        Span<byte> piece = stackalloc byte[1024];
        int count;
        while ((count = LinuxCalls.Read(_complaint, piece)) > 0) _complaintText += Encoding.UTF8.GetString(piece[..count]);
        if (count < 0) return; // not yet
        LinuxCalls.close(_complaint);
        _complaint = -1;
        // Silence is also what one killed before exec leaves behind: then "exited signal N" follows.
        Say(_complaintText.Length > 0 ? $"failed {OneLine(_complaintText)}" : $"started {_app}");
    }

    private void Act(long now)
    {
        KillStep step = _schedule.Step(now);
        if (_schedule.IsEnding && !_saidEnding) SayEnding();
        if (step == KillStep.Terminate) Signal(LinuxCalls.SIGTERM);
        else if (step == KillStep.Kill)
        {
            if (_killingSince == long.MaxValue) _killingSince = now;
            _cgroup?.Kill();
            Signal(LinuxCalls.SIGKILL);
            if (!_saidStuck && now - _killingSince > StuckAfterMicros) SayStuck();
        }
    }

    private static void Signal(int signalNumber)
    {
        foreach (int pid in ProcessTree.Descendants(LinuxCalls.getpid()))
        {
            LinuxCalls.kill(pid, signalNumber);
            // A stopped process would hear TERM only when it goes on.
            if (signalNumber == LinuxCalls.SIGTERM) LinuxCalls.kill(pid, LinuxCalls.SIGCONT);
        }
    }

    private void Reap()
    {
        bool noChildren;
        while (LinuxCalls.Reap(-1, block: false, out int ended, out ChildExit exit, out noChildren))
            if (ended == _app) AppEnded(exit);
        // The proof. Whoever lost its parent became ours (subreaper), so whoever is left below us has an ancestor that is our child:
        // no child at all, alive or zombie, means no descendant.
        _nothingLeft = noChildren;
    }

    private void AppEnded(ChildExit exit)
    {
        _exit = exit;
        if (_appEvents >= 0) LinuxCalls.close(_appEvents);
        _appEvents = -1;
        if (_complaint >= 0) ListenToLaunch();
        _output.ReadRest(Now); // its last words come before the news of its end
        Say($"exited {exit}");
        if (_schedule.IsEnding) return;
        if (spec.IsScript)
        {
            // What it left in the background (`start.sh` with `&`) lives on, also when the driver dies. This process stays as long, to
            // read their output: a closed pipe would kill them at their next line.
            _letGo = true;
            Say("done");
        }
        else if (!IsHoldingTheRest) _schedule.EndSoon(Now, "the app has ended, what it left behind goes too");
    }

    private bool IsHoldingTheRest => spec.HoldsTheRest && _exit is { Succeeded: true } && !_schedule.IsEnding;

    private void Wait()
    {
        Span<LinuxCalls.PollDescriptor> wait = stackalloc LinuxCalls.PollDescriptor[6];
        int count = 0;
        long now = Now;
        void Watch(Span<LinuxCalls.PollDescriptor> all, int descriptor, short events) => all[count++] = new() { Descriptor = descriptor, Events = events };
        Watch(wait, _timer, LinuxCalls.POLLIN);
        if (!_driverDied) Watch(wait, GuardProgram.Stdin, LinuxCalls.POLLIN);
        if (_appEvents >= 0) Watch(wait, _appEvents, LinuxCalls.POLLIN);
        if (_complaint >= 0) Watch(wait, _complaint, LinuxCalls.POLLIN);
        if (_output.WantsToRead(now)) Watch(wait, _output.Source, LinuxCalls.POLLIN);
        if (_output.WantsToWrite) Watch(wait, GuardProgram.Stdout, LinuxCalls.POLLOUT);

        long wakeAt = Math.Min(Math.Min(_letGo ? long.MaxValue : _schedule.NextStepAt, _output.NextLookAt(now)), now + LookMicros);
        // A timer that counts sleep: ppoll's own timeout would let the lease run out unseen while the machine was suspended.
        LinuxCalls.SetTimer(_timer, Math.Max(0, wakeAt - now));
        LinuxCalls.Poll(wait[..count], -1);
    }

    private long LookMicros => _exit is null && !_schedule.IsEnding ? (_appEvents >= 0 ? IdleLookMicros : StoppingLookMicros)
        : _letGo ? IdleLookMicros
        : IsHoldingTheRest ? RestLookMicros
        : StoppingLookMicros;

    private void Finish()
    {
        _output.ReadRest(Now);
        Say(_letGo ? "released" : "stopped");
        _cgroup?.Remove();
        // The driver reads all the time; one that does not is frozen, and learns from the end of this process what it needs to know.
        LinuxCalls.PollDescriptor[] ready = [new() { Descriptor = GuardProgram.Stdout, Events = LinuxCalls.POLLOUT }];
        for (int i = 0; i < 100 && _output.WantsToWrite; i++)
        {
            LinuxCalls.Poll(ready, 10_000);
            _output.WriteSome(Now);
        }
    }

    private void SayEnding()
    {
        _saidEnding = true;
        // After the app has ended by itself its exit is the reason, not what is done about the rest.
        if (_exit is null || (spec.HoldsTheRest && _exit is { Succeeded: true })) Say($"ending {OneLine(_schedule.Reason!)}");
    }

    private void SayStuck()
    {
        _saidStuck = true;
        var left = ProcessTree.Descendants(LinuxCalls.getpid()).Where(ProcessTree.IsAlive).Take(5).Select(ProcessTree.Describe);
        Say($"stuck {OneLine(string.Join(", ", left))}");
    }

    private void Say(string status)
    {
        _output.Say(status, Now);
        _output.WriteSome(Now);
    }

    private static string OneLine(string text) => text.ReplaceLineEndings(" ");
}
