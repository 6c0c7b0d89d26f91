using System.Collections.Concurrent;
using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Raft;

namespace Clustd.Tests.Loop;

/// <summary>A loop around decisions that only write down what they were given, with a clock that stands until it is set.</summary>
internal sealed class LoopBench : IAsyncDisposable
{
    private readonly ConcurrentQueue<(Input Input, Instant Now)> _steps = new();

    private long _now = 1_000_000;

    private long _wakeAt = Instant.Never.Microseconds;

    public LoopBench(double turnEvery = 1)
    {
        OnClock = () => Now;
        var settings = new MachineSettings
        {
            Self = new MachineId("a"),
            Address = "127.0.0.1:3001",
            Addresses = ["127.0.0.1:3001"],
            Lease = TimeSpan.FromSeconds(1),
            Incarnation = 1,
            Seed = 1,
            WallClockSeconds = 1,
        };
        Loop = new MachineLoop(
            new MachineCore(settings, StoredState.New(new StoreId("0123456789abcdef")), Now),
            (input, now) =>
            {
                _steps.Enqueue((input, now));
                return OnStep(input);
            },
            () => WakeAt,
            new MachineLoopSurroundings
            {
                Clock = () => OnClock(),
                Perform = output => Performed.Enqueue(output),
                Crash = e => Crashes.Enqueue(e),
                TurnEvery = TimeSpan.FromSeconds(turnEvery),
                TurnCompleted = () => Interlocked.Increment(ref TurnsCompleted),
            });
    }

    public MachineLoop Loop { get; }

    public Instant Now
    {
        get => new(Volatile.Read(ref _now));
        set => Volatile.Write(ref _now, value.Microseconds);
    }

    public Instant WakeAt
    {
        get => new(Volatile.Read(ref _wakeAt));
        set => Volatile.Write(ref _wakeAt, value.Microseconds);
    }

    public Func<Instant> OnClock { get; set; }

    public Func<Input, IReadOnlyList<Output>> OnStep { get; set; } = _ => [];

    public ConcurrentQueue<(Input Input, Instant Now)> Steps => _steps;

    public ConcurrentQueue<Output> Performed { get; } = [];

    public ConcurrentQueue<Exception> Crashes { get; } = [];

    public long TurnsCompleted;

    public static Input PeerMessage(int number) =>
        new Input.PeerSpoke(new MachineId("b"), new PeerMessage(ClusterId.None, StoreId.None, new PeerBody.Refusal($"message {number}")));

    public void PostPeerMessages(int count)
    {
        for (var i = 0; i < count; i++)
        {
            Loop.Post(PeerMessage(i));
        }
    }

    public ValueTask DisposeAsync() => Loop.DisposeAsync();
}
