using Clustd.Client.Connection;
using Clustd.Client.Protocol;

namespace Clustd.Client.Running;

/// <summary>
/// The thread that renews the lease, sees it end, and sees a kill deadline pass. A thread of its own: timers of the thread pool drift under load,
/// and must not decide when a master stops. It never waits for the network or for user code.
/// </summary>
internal sealed class LeaseKeeper
{
    // Where a wait does not count sleep and the clock does: while something may be running, look this often, so that a suspend is noticed at once on resume.
    private const long LookEveryUs = 25_000;
    private const long LookEveryIdleUs = 1_000_000;
    private const long LeaseWantedGapUs = 10_000; // A start that waits asks for a renewal at most this often.

    private readonly Func<long> clock;
    private readonly Func<IReadOnlyCollection<ServiceTriggers>> services;
    private readonly Action<long, long> leaseOver;
    private readonly Action<LeaseEnd> leaseChanged;
    private readonly Action<string, long> deadlinePassed;
    private readonly object gate = new();
    private readonly LeaseAlarm alarm = new();
    private readonly bool alarmKnowsClock; // It runs on BOOTTIME; a clock of a test's moves without it.
    private readonly LeaseWatch watch = new();
    private DaemonLink? link;
    private long lastRenewal = long.MinValue;
    private long endsAtUs = long.MinValue; // As watch.Lease.EndsAt, for readers without the lock.
    private long sleepsUntil = long.MaxValue; // On the clock; the maximum while the thread does not sleep, and will look at what has changed only if it is woken.
    private bool woken;
    private bool ended;

    public LeaseKeeper(
        Func<long> clock, Func<IReadOnlyCollection<ServiceTriggers>> services, Action<long, long> leaseOver, Action<LeaseEnd> leaseChanged, Action<string, long> deadlinePassed,
        bool isRealClock)
    {
        this.clock = clock;
        alarmKnowsClock = isRealClock && alarm.CountsSleep;
        this.services = services;
        this.leaseOver = leaseOver;
        this.leaseChanged = leaseChanged;
        this.deadlinePassed = deadlinePassed;
        new Thread(Work) { IsBackground = true, Name = "clustd lease", Priority = ThreadPriority.Highest }.Start();
    }

    public LeaseEnd End
    {
        get { lock (gate) return new LeaseEnd(watch.Lease.EndsAt, watch.KillTimeoutUs); }
    }

    /// <summary>See <see cref="IServiceHost.LeaseEndsAtUs"/>. User code asks in loops: it must not be able to hold up this thread's work.</summary>
    public long EndsAtUs => Volatile.Read(ref endsAtUs);

    public bool HoldsLease(long now)
    {
        lock (gate)
            return watch.Lease.IsValid(now);
    }

    public void Connected(DaemonLink registered, RegisterResult terms)
    {
        lock (gate)
        {
            link = registered;
            watch.Connected(terms.LeaseUs, terms.RenewEveryUs, terms.KillTimeoutUs, clock());
            WakeLocked();
        }
    }

    public void Disconnected()
    {
        lock (gate)
        {
            link = null;
            watch.Disconnected();
        }
    }

    public void RenewSoon()
    {
        lock (gate)
        {
            var now = clock();
            if (link is null || now < lastRenewal + LeaseWantedGapUs)
                return;
            watch.RenewSoon(now);
            WakeLocked();
        }
    }

    /// <summary>Looks again now: a deadline has changed.</summary>
    public void Wake()
    {
        lock (gate)
            WakeLocked();
    }

    public void Stop()
    {
        lock (gate)
        {
            ended = true;
            WakeLocked();
        }
    }

    private void WakeLocked()
    {
        woken = true;
        alarm.Ring();
    }

    private void Work()
    {
        using var disposed = alarm; // By the only thread that sleeps on it.
        while (true)
        {
            LeaseDue due;
            LeaseEnd end;
            DaemonLink? current;
            long now;
            long next;
            long left;
            lock (gate)
            {
                if (ended)
                    return;
                woken = false;
                sleepsUntil = long.MaxValue;
                now = clock(); // After every wake-up, before every act: the thread may have been frozen.
                due = watch.Due(now);
                end = new LeaseEnd(watch.Lease.EndsAt, watch.KillTimeoutUs);
                next = watch.NextAt();
                current = link;
                left = watch.Lease.LeftAt(now);
                if (due.HasFlag(LeaseDue.Renew))
                    lastRenewal = now;
            }

            // Stop first: whatever else is due can wait.
            if (due.HasFlag(LeaseDue.Over) && end.EndsAtUs is { } over)
            {
                leaseOver(over, end.KillTimeoutUs);
                leaseChanged(end);
            }
            var anyRunning = false;
            foreach (var service in services())
            {
                anyRunning |= service.Running is not null;
                if (service.KillAt is not { } killAt)
                    continue;
                if (clock() >= killAt)
                    deadlinePassed(service.Service, killAt);
                else
                    next = Math.Min(next, killAt);
            }
            if (due.HasFlag(LeaseDue.Renew))
                Renew(current, now, left);
            if (due.HasFlag(LeaseDue.Reconnect))
                current?.Abort("it does not answer renewals of the lease");

            long wait;
            lock (gate)
            {
                wait = woken || ended ? 0 : Math.Min(next - clock(), anyRunning && !alarmKnowsClock ? LookEveryUs : LookEveryIdleUs);
                if (wait > 0 && alarmKnowsClock)
                    sleepsUntil = clock() + wait;
            }
            alarm.Sleep(wait); // Who rings in between has rung for this sleep.
        }
    }

    private void Renew(DaemonLink? current, long stamp, long left) =>
        current?.Request(DriverMethods.Renew, new RenewParams { Stamp = stamp, LeftUs = left }, ProtocolJson.Default.RenewParams, answer =>
        {
            // A refusal leaves the stamp unanswered, so a daemon that only refuses is given up like a silent one.
            if (answer?.ReadResult(ProtocolJson.Default.RenewResult) is { } renewed)
                Answered(renewed);
        });

    private void Answered(RenewResult renewed)
    {
        LeaseEnd end;
        lock (gate)
        {
            var changed = watch.Lease.Answered(renewed.Stamp, renewed.LeftUs, clock(), renewed.Shortens == true);
            Volatile.Write(ref endsAtUs, watch.Lease.EndsAt ?? long.MinValue);
            if (!changed)
                return;
            end = new LeaseEnd(watch.Lease.EndsAt, watch.KillTimeoutUs);
            // A longer lease leaves time to sleep: only what is due sooner now wakes the thread.
            if (watch.NextAt() < sleepsUntil)
                WakeLocked();
        }
        leaseChanged(end);
    }
}
