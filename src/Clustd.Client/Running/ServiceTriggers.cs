using Clustd.Client.Protocol;

namespace Clustd.Client.Running;

/// <summary>
/// The triggers of one service: one at a time, in order, level-triggered. User code runs on a thread of its own that never ends before the driver
/// does: it needs no thread pool to be stopped in time, and children that it starts with PDEATHSIG live as long as the driver.
/// </summary>
internal sealed class ServiceTriggers
{
    private const string LeaseWaitFailed =
        "The start was not begun: this driver holds no lease, because the daemon has not answered its renewals. Check the load of the machine and the daemon's log.";

    // Milliseconds between requests for a lease, of one start that waits for it: a thousand may wait at once.
    private const int LeaseWaitMin = 20;
    private const int LeaseWaitMax = 320;

    private readonly string service;
    private readonly IServiceHost host;
    private readonly object gate = new();

    // Invariant: at most one stop, then at most one start. A stop is never dropped; a start that has not begun is, for whatever comes after it.
    private readonly List<PendingCall> pending = [];
    private PendingCall? current;
    private (bool IsMaster, long Token)? acknowledged; // What user code last completed without error.
    private Lease? lease; // Of the newest start, until a stop has succeeded.

    // A start that user code failed and that was not stopped since. Its answer may be lost with its connection: told again, it is answered again, not run
    // again on top of what it left half done.
    private (long Token, RpcError Error)? failedStart;
    private long? running; // Token of what may be running: from the moment a start begins until a stop has succeeded.
    private long highestToken = long.MinValue;
    private long? killAt;
    private bool closing;
    private bool ended;

    public ServiceTriggers(string service, IServiceHost host)
    {
        this.service = service;
        this.host = host;
        new Thread(Work) { IsBackground = true, Name = $"clustd {service}", Priority = ThreadPriority.AboveNormal }.Start();
    }

    public string Service => service;

    /// <summary>Token of what may be running, or null.</summary>
    public long? Running
    {
        get { lock (gate) return running; }
    }

    /// <summary>What was granted to what may be running, or null.</summary>
    public Lease? Lease
    {
        get { lock (gate) return lease; }
    }

    /// <summary>When what is running must be gone, on the driver's clock; null while nobody has said so.</summary>
    public long? KillAt
    {
        get { lock (gate) return killAt; }
    }

    /// <summary>
    /// What to tell a daemon on reconnection, or null if nothing was ever begun. Running is what was started, and is not being stopped; all else that may be
    /// there is unsettled: told again, it is answered when this is known.
    /// </summary>
    public DriverState? State
    {
        get
        {
            lock (gate)
            {
                return running is { } token ? new DriverState { Service = service, IsMaster = true, Token = token, Unsettled = acknowledged != (true, token) || IsStopWaiting }
                    : acknowledged is { IsMaster: false } stopped ? new DriverState { Service = service, IsMaster = false, Token = stopped.Token }
                    : null;
            }
        }
    }

    /// <summary>Takes a trigger of the daemon; <paramref name="reply"/> is called once, with null for success, and must not block.</summary>
    public void Tell(TriggerParams trigger, Action<RpcError?> reply)
    {
        lock (gate)
        {
            if (trigger.IsMaster && closing)
            {
                reply(RpcError.Of(DriverErrorCodes.ShuttingDown, $"'{service}' was not started: this driver is shutting down. Start it again, or let another machine take over."));
                return;
            }
            if (trigger.IsMaster && trigger.Token < highestToken)
            {
                reply(RpcError.Of(DriverErrorCodes.InvalidParams, $"'{service}' was not started: token {trigger.Token} is older than {highestToken}, seen before. Restart the driver if the cluster was made anew."));
                return;
            }
            if (trigger.IsMaster)
                highestToken = trigger.Token;
            else
                EndLease(trigger.Kill);
            Enqueue(trigger, reply);
            if (trigger.Kill && !trigger.IsMaster)
                StopBy(host.NowUs + Math.Clamp(trigger.LimitUs, 0, long.MaxValue / 4) - KillMargin(trigger.LimitUs));
        }
    }

    /// <summary>Cancels the start that the daemon numbered so, begun or not.</summary>
    public void Cancel(long sequence)
    {
        lock (gate)
        {
            if (current is { IsMaster: true } start && start.Sequence == sequence)
            {
                lease?.Stop();
                CancelCurrent();
            }
            DropStarts(start => start.Sequence == sequence, DriverErrorCodes.TriggerCancelled, "was cancelled before it began");
        }
    }

    /// <summary>What the end of the process itself may take, off a limit after which everything must be gone, microseconds.</summary>
    public static long KillMargin(long limitUs) => Math.Clamp(limitUs / 10, 0, 50_000);

    /// <summary>
    /// Stops what may be running, without being told by the daemon, by <paramref name="killDeadline"/> if there is one. <paramref name="reply"/> gets the
    /// outcome and the token of what stopped. False: nothing is running, so there will be no reply.
    /// </summary>
    public bool StopNow(string reason, bool kill, long? killDeadline, Action<RpcError?, long> reply)
    {
        lock (gate)
        {
            EndLease(kill);
            if (current is { IsMaster: true } start)
            {
                start.LacksLease = kill && !start.HasBegun;
                CancelCurrent();
            }
            DropStarts(_ => true, kill ? DriverErrorCodes.NoLease : DriverErrorCodes.TriggerCancelled, "was cancelled: " + reason);
            if (running is not { } token)
                return false;
            var stop = new TriggerParams
            {
                Service = service,
                IsMaster = false,
                Token = token,
                Reason = reason,
                Sequence = -1, // Not the daemon's: no cancel can name it.
                LimitUs = killDeadline is { } deadline ? Math.Max(0, deadline - host.NowUs) : 0,
                Kill = kill,
            };
            Enqueue(stop, error => reply(error, token));
            if (killDeadline is { } at)
                StopBy(at);
            return true;
        }
    }

    /// <summary>
    /// The connection is gone: starts that have not begun are forgotten (the daemon says them again), everything else goes on. One that waits for its
    /// lease has not begun either: the next registration says that nothing runs, so nothing may start behind its back
    /// (two masters in the simulator, seed 3854).
    /// </summary>
    public void ConnectionLost()
    {
        lock (gate)
        {
            if (current is { IsMaster: true, HasBegun: false })
                CancelCurrent();
            DropStarts(_ => true, DriverErrorCodes.TriggerSuperseded, "was forgotten: the connection was lost");
        }
    }

    /// <summary>The lease has changed: a start may be waiting for it.</summary>
    public void LeaseChanged()
    {
        lock (gate)
        {
            if (current is { IsMaster: true, HasBegun: false })
                Monitor.PulseAll(gate); // Nobody else is woken: six times a lease, a thousand threads would be.
        }
    }

    /// <summary>Starts nothing any more.</summary>
    public void CloseToStarts()
    {
        lock (gate)
        {
            closing = true;
            lease?.Stop();
            if (current is { IsMaster: true })
                CancelCurrent();
            DropStarts(_ => true, DriverErrorCodes.ShuttingDown, "was not begun: this driver is shutting down");
        }
    }

    /// <summary>Ends the thread after the call in flight.</summary>
    public void End()
    {
        lock (gate)
        {
            ended = true;
            Monitor.PulseAll(gate);
        }
    }

    private bool IsStopWaiting => pending.Exists(call => !call.IsMaster);

    // Under the lock. A planned stop lets work in hand be finished under the lease, one that cannot wait does not.
    private void EndLease(bool kill)
    {
        if (kill)
            lease?.End();
        else
            lease?.Stop();
    }

    // Under the lock.
    private void Enqueue(TriggerParams trigger, Action<RpcError?> reply)
    {
        if (pending.Count == 0 && current is { } now && now.Joins(trigger))
        {
            now.Join(trigger, reply);
            return;
        }
        // Whatever comes makes a start that has not begun pointless, unless it is that start again.
        if (pending.Count > 0 && pending[^1].Joins(trigger) && pending[^1].IsMaster)
        {
            pending[^1].Join(trigger, reply);
            return;
        }
        DropStarts(_ => true, DriverErrorCodes.TriggerSuperseded, "was overtaken by a newer trigger");
        if (!trigger.IsMaster && pending.Count > 0)
        {
            pending[^1].Join(trigger, reply); // Stops merge: one call stops whatever token it was.
        }
        else
        {
            pending.Add(new PendingCall(trigger, reply));
        }
        // A start makes way for a stop; a planned stop makes way for one that cannot wait.
        if (!trigger.IsMaster && current is { } call && (call.IsMaster || (trigger.Kill && !call.Trigger.Kill)))
            CancelCurrent();
        Monitor.PulseAll(gate);
    }

    // Under the lock. Callbacks of user code must not run under our lock nor on the lease thread: the token is cancelled here, they run on the pool.
    private void CancelCurrent()
    {
        if (current is not { Cancelled: false } call)
            return;
        call.Cancelled = true;
        call.CancelToken();
        Monitor.PulseAll(gate);
    }

    private void DropStarts(Func<PendingCall, bool> which, int code, string how)
    {
        for (var i = pending.Count - 1; i >= 0; i--)
        {
            if (!pending[i].IsMaster || !which(pending[i]))
                continue;
            var call = pending[i];
            pending.RemoveAt(i);
            call.Reply(RpcError.Of(code, $"The start of '{service}' {how}."));
        }
    }

    // Under the lock. Deadlines only ever come closer: somebody counts on the earliest.
    private void StopBy(long deadline)
    {
        if (running is null)
            return;
        killAt = Math.Min(killAt ?? long.MaxValue, deadline);
        host.DeadlinesChanged();
    }

    private void Work()
    {
        while (true)
        {
            PendingCall call;
            lock (gate)
            {
                while (pending.Count == 0 && !ended)
                    Monitor.Wait(gate);
                if (pending.Count == 0)
                    return;
                call = pending[0];
                pending.RemoveAt(0);
                if (acknowledged == (call.IsMaster, call.Trigger.Token))
                {
                    call.Reply(null); // Level-triggered: said again, nothing to do.
                    continue;
                }
                if (call.IsMaster && failedStart is { } failed && failed.Token == call.Trigger.Token)
                {
                    call.Reply(failed.Error);
                    continue;
                }
                current = call;
                if (call.IsMaster && !AwaitLease(call))
                {
                    current = null;
                    call.Reply(call.Cancelled && !call.LacksLease
                        ? RpcError.Of(DriverErrorCodes.TriggerCancelled, $"The start of '{service}' was cancelled before it began.")
                        : RpcError.Of(DriverErrorCodes.NoLease, LeaseWaitFailed));
                    continue;
                }
                call.HasBegun = true;
                acknowledged = null;
                if (call.IsMaster)
                {
                    running = call.Trigger.Token;
                    lease?.End();
                    lease = new Lease(service, call.Trigger.Token, () => host.LeaseEndsAtUs, () => host.NowUs);
                    failedStart = null;
                }
                call.Lease = lease;
            }

            var error = Run(call);

            lock (gate)
            {
                current = null;
                if (error is null)
                {
                    acknowledged = (call.IsMaster, call.Trigger.Token);
                    if (!call.IsMaster)
                    {
                        running = null;
                        killAt = null;
                        failedStart = null;
                        lease?.End();
                        lease = null;
                    }
                }
                else if (call.IsMaster)
                {
                    lease?.Stop();
                    if (error.Code == DriverErrorCodes.TriggerFailed)
                        failedStart = (call.Trigger.Token, error);
                }
                call.Reply(error);
            }
            call.Dispose();
        }
    }

    // Under the lock, which it gives up while waiting. A start may only begin under a lease: nobody else would stop it.
    private bool AwaitLease(PendingCall call)
    {
        var until = host.NowUs + (call.Trigger.LimitUs > 0 ? call.Trigger.LimitUs : 5_000_000);
        var patience = LeaseWaitMin;
        while (!call.Cancelled && !ended)
        {
            var now = host.NowUs;
            if (host.HoldsLease(now))
                return true;
            if (now >= until)
                return false;
            host.LeaseWanted();
            Monitor.Wait(gate, patience); // A new lease wakes it.
            patience = Math.Min(patience * 2, LeaseWaitMax);
        }
        return false;
    }

    private RpcError? Run(PendingCall call)
    {
        try
        {
            host.Run(call.ToTrigger(), call.Token);
            return call.IsMaster && call.Cancelled ? RpcError.Of(DriverErrorCodes.TriggerCancelled, $"The start of '{service}' was cancelled.") : null;
        }
        catch (OperationCanceledException) when (call.Cancelled)
        {
            return RpcError.Of(DriverErrorCodes.TriggerCancelled, $"The {(call.IsMaster ? "start" : "stop")} of '{service}' was cancelled.");
        }
        catch (Exception e)
        {
            host.Log(DriverLogLevel.Error, $"{(call.IsMaster ? "Starting" : "Stopping")} '{service}' failed: {e.Message} The daemon is told; correct the driver. {e}");
            return RpcError.Of(DriverErrorCodes.TriggerFailed, e.Message);
        }
    }
}
