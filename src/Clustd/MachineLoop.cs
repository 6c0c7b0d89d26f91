using System.Diagnostics;
using Clustd.Core;

namespace Clustd;

/// <summary>What the loop needs of its surroundings. Perform and TurnCompleted run within a turn, on whatever thread takes it, and must not wait for anything.</summary>
public sealed record MachineLoopSurroundings
{
    /// <summary>This machine's clock: <see cref="MachineClock.Now"/>.</summary>
    public required Func<Instant> Clock { get; init; }

    /// <summary>Performs one output: <see cref="OutputRouter.Perform"/>.</summary>
    public required Action<Output> Perform { get; init; }

    /// <summary>
    /// Ends the process: an invariant is broken, and a restart is safe where a second master is not. Must not return in the daemon
    /// (Environment.FailFast); if it does, the loop is over.
    /// </summary>
    public required Action<Exception> Crash { get; init; }

    /// <summary>After every completed turn: feeds the watchdogs.</summary>
    public Action TurnCompleted { get; init; } = static () => { };

    /// <summary>A turn is taken this often at least, also when there is nothing to decide: as often as a watchdog wants to be fed.</summary>
    public TimeSpan TurnEvery { get; init; } = TurnEveryDefault;

    internal static readonly TimeSpan TurnEveryDefault = TimeSpan.FromSeconds(1);
}

/// <summary>How punctual the loop is, for status and doctor. Lateness: of ticks, against when the core wanted to be woken.</summary>
public sealed record MachineLoopPunctuality(RecentSummary Lateness, DurationSummary Steps, long Turns, long PeerMessagesDropped, LoopPriority Priority);

/// <summary>
/// The only place where I/O meets decisions: whoever takes a turn owns the <see cref="MachineCore"/>, everybody else posts to its inbox. A turn:
/// take what is in the inbox, one by one, reading the clock after each is taken; then, if its time has come, tick. A thread of its own takes them, and sleeps
/// in between until the core wants to be woken.
/// </summary>
/// <remarks>
/// What a peer says is taken on the very thread that has received it (<see cref="TurnHere"/>) if the loop's own thread sleeps: to wake that costs more than
/// most decisions, and a heartbeat makes three of them. One turn at a time, whoever takes it.
/// </remarks>
public sealed class MachineLoop : IAsyncDisposable
{
    /// <summary>
    /// Beyond this, messages of peers are dropped: they may be lost by contract. Eight peers at the shortest lease send some 2,000 a second, so what
    /// waits behind 4096 is older than any lease. Everything else is never dropped: each is answered before its sender sends the next.
    /// </summary>
    public const int InboxCapacity = 4096;

    private readonly MachineCore _core;
    private readonly Func<Input, Instant, IReadOnlyList<Output>> _step;
    private readonly Func<Instant> _wakeAt;
    private readonly MachineLoopSurroundings _surroundings;
    private readonly LoopAlarm _alarm = new();
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly RecentDurations _lateness = new();
    private readonly DurationRing _steps = new();

    // Held during a turn, and by nobody who waits for anything. Taken before _gate.
    private readonly Lock _turning = new();
    private Instant? _sleepsUntil; // guarded by _turning; null: the loop's own thread does not run
    private readonly Lock _gate = new();
    private readonly Queue<Delivery> _inbox = new(); // guarded by _gate
    private bool _isRung; // guarded by _gate: somebody has rung for what is in the inbox
    private bool _started; // guarded by _gate
    private bool _ending; // guarded by _gate
    private long _dropped; // guarded by _gate

    [ThreadStatic]
    private static bool isRaised;

    private long _turns;
    private LoopPriority _priority; // guarded by _gate

    public MachineLoop(MachineCore core, MachineLoopSurroundings surroundings)
        : this(core, core.Step, () => core.WakeAt, surroundings)
    {
    }

    // For tests of the loop alone: decisions that a test can see through.
    internal MachineLoop(
        MachineCore core, Func<Input, Instant, IReadOnlyList<Output>> step, Func<Instant> wakeAt, MachineLoopSurroundings surroundings)
    {
        _core = core;
        _step = step;
        _wakeAt = wakeAt;
        _surroundings = surroundings;
    }

    public MachineLoopPunctuality Punctuality
    {
        get
        {
            lock (_gate)
            {
                return new(_lateness.Summarize(OnRing(_surroundings.Clock())), _steps.Summarize(), Volatile.Read(ref _turns), _dropped, _priority);
            }
        }
    }

    /// <summary>
    /// Two full collections, once everything is built and before the first heartbeat: what start-up left behind is then not collected in the middle
    /// of a lease. Measured: later pauses fell below 1 ms per 40 s.
    /// </summary>
    public static void WarmUp()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
    }

    public void Start()
    {
        lock (_gate)
        {
            if (_started || _ending)
            {
                throw new InvalidOperationException("The loop was started before, or is over.");
            }

            _started = true;
        }

        // Background: a crash action that returns must not keep the process alive.
        new Thread(Run) { IsBackground = true, Name = "machine loop" }.Start();
    }

    /// <summary>Puts an input into the inbox; any thread; never waits. False: it was dropped (a peer's message on a full inbox, or the loop is over).</summary>
    public bool Post(Input input) => Deliver(new Delivery(input, null));

    /// <summary>
    /// Like <see cref="Post"/>, but wakes nobody. The caller says <see cref="TurnHere"/> right afterwards, whatever happens: what came with one message of the network makes
    /// one turn.
    /// </summary>
    public bool PostQuietly(Input input) => Deliver(new Delivery(input, null), quietly: true);

    /// <summary>
    /// Takes a turn on the calling thread if nobody is in one, else wakes the loop's own thread. For a thread that carries heartbeats and nothing that blocks; its
    /// priority is raised like that of the loop, so that a turn is not interrupted by what the loop itself would not be interrupted by.
    /// </summary>
    public void TurnHere()
    {
        // A worker of the pool serves everybody: its priority must stay what it is.
        if (Thread.CurrentThread.IsThreadPoolThread || _turning.IsHeldByCurrentThread || !_turning.TryEnter())
        {
            _alarm.Ring();
            return;
        }

        try
        {
            if (_sleepsUntil is null || IsEnding())
            {
                _alarm.Ring();
                return;
            }

            if (!isRaised)
            {
                isRaised = true;
                LoopPriority.Raise();
            }

            Turn();
            WakeOwnThread();
        }
        catch (Exception e)
        {
            EndBy(e);
        }
        finally
        {
            _turning.Exit();
        }
    }

    /// <summary>Runs a function that only reads the core, within a turn, between two inputs. Keep it short: heartbeats wait for it.</summary>
    /// <exception cref="OperationCanceledException">The loop is over.</exception>
    public Task<T> InspectAsync<T>(Func<MachineCore, Instant, T> read)
    {
        var answer = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        var inspection = new Inspection(
            now =>
            {
                try
                {
                    answer.SetResult(read(_core, now));
                }
                catch (Exception e)
                {
                    answer.SetException(e); // the reader's mistake, not the core's
                }
            },
            () => answer.TrySetCanceled());
        if (!Deliver(new Delivery(null, inspection)))
        {
            answer.TrySetCanceled();
        }

        return answer.Task;
    }

    /// <summary>Ends the loop after the present turn. What is left in the inbox is not processed.</summary>
    public async ValueTask DisposeAsync()
    {
        bool started;
        lock (_gate)
        {
            (started, _ending) = (_started, true);
        }

        if (started)
        {
            _alarm.Ring();
            await _ended.Task;
        }
        else
        {
            CancelInspections();
        }

        _alarm.Dispose();
    }

    /// <summary>
    /// One turn, without the sleep. The tick comes after the inbox is empty (rule 8): what a stalled leader finds there may be the
    /// very stamps for want of which it would end a session. A flood cannot put the tick off for ever: one inbox full per turn.
    /// </summary>
    internal void Turn()
    {
        for (var taken = 0; taken < InboxCapacity && TryTake(out var delivery); taken++)
        {
            // Only now, rule 2: a freeze between the two would otherwise date an acknowledgement too early.
            var now = _surroundings.Clock();
            delivery.Inspection?.Run(now);
            if (delivery.Input is { } input)
            {
                Step(input, now);
            }
        }

        var wakeAt = _wakeAt();
        var time = _surroundings.Clock();
        if (time >= wakeAt)
        {
            _lateness.Add(time - wakeAt, OnRing(time));
            Step(new Input.Tick(), time);
        }

        Volatile.Write(ref _turns, _turns + 1);
        _surroundings.TurnCompleted();
    }

    // Posting rings when nobody has rung since the inbox was empty, and the bell stays rung until the next sleep. What a turn left in the inbox rings no more.
    internal TimeSpan TimeToSleep()
    {
        lock (_gate)
        {
            if (_inbox.Count > 0)
            {
                return TimeSpan.Zero;
            }
        }

        var now = _surroundings.Clock();
        return Instant.Min(_wakeAt(), now + _surroundings.TurnEvery) - now;
    }

    private void Step(Input input, Instant now)
    {
        var started = Stopwatch.GetTimestamp();
        foreach (var output in _step(input, now))
        {
            _surroundings.Perform(output);
        }

        _steps.Add(Stopwatch.GetElapsedTime(started));
    }

    private void Run()
    {
        try
        {
            var priority = LoopPriority.Raise();
            lock (_gate)
            {
                _priority = priority;
            }

            while (!IsEnding())
            {
                TimeSpan sleep;
                lock (_turning)
                {
                    if (IsEnding()) break; // By another's turn that went wrong.
                    Turn();
                    sleep = TimeToSleep();
                    _sleepsUntil = _surroundings.Clock() + sleep;
                    _alarm.Set(sleep);
                }

                if (sleep > TimeSpan.Zero) _alarm.Sleep();
            }
        }
        catch (Exception e)
        {
            EndBy(e);
        }
        finally
        {
            lock (_gate)
            {
                _ending = true;
            }

            lock (_turning)
            {
                _sleepsUntil = null; // Nobody is in a turn, and nobody begins one.
            }

            CancelInspections();
            _ended.TrySetResult();
        }
    }

    // After another's turn: the loop's own thread sleeps on, unless it would sleep too long now.
    private void WakeOwnThread()
    {
        var sleep = TimeToSleep();
        if (sleep <= TimeSpan.Zero)
        {
            _alarm.Ring();
            return;
        }

        var until = _surroundings.Clock() + sleep;
        if (until < _sleepsUntil)
        {
            _sleepsUntil = until;
            _alarm.Set(sleep);
        }
    }

    // Whoever is in the turn: nothing is decided after it.
    private void EndBy(Exception broken)
    {
        lock (_gate)
        {
            _ending = true;
        }

        _surroundings.Crash(broken);
        _alarm.Ring();
    }

    private bool Deliver(Delivery delivery, bool quietly = false)
    {
        bool rings;
        lock (_gate)
        {
            if (_ending)
            {
                return false;
            }

            if (_inbox.Count >= InboxCapacity && delivery.Input is Input.PeerSpoke)
            {
                _dropped++;
                return false;
            }

            rings = !quietly && !_isRung;
            _isRung |= rings;
            _inbox.Enqueue(delivery);
        }

        if (rings)
        {
            _alarm.Ring(); // Outside of the lock: what is woken takes it at once. A bell that is gone meanwhile does not mind.
        }

        return true;
    }

    private bool TryTake(out Delivery delivery)
    {
        lock (_gate)
        {
            var isThere = _inbox.TryDequeue(out delivery);
            _isRung &= isThere;
            return isThere;
        }
    }

    private static TimeSpan OnRing(Instant instant) => instant - Instant.Origin;

    private bool IsEnding()
    {
        lock (_gate)
        {
            return _ending;
        }
    }

    private void CancelInspections()
    {
        while (TryTake(out var delivery))
        {
            delivery.Inspection?.Cancel();
        }
    }

    private readonly record struct Delivery(Input? Input, Inspection? Inspection);

    private sealed record Inspection(Action<Instant> Run, Action Cancel);
}
