using System.Diagnostics;
using Clustd.Chaos.Faults;
using Clustd.Chaos.History;
using Clustd.EndToEnd.Harness;

namespace Clustd.Chaos.Run;

/// <summary>
/// What systemd is to a real machine: starts a daemon that ended by itself again, and writes down that it did. Faults say when a machine is meant to be down.
/// Also who may do what to the machine: one fault at a time to its processes, and one to its cable.
/// </summary>
internal sealed class Keeper : IDisposable
{
    private static readonly TimeSpan RestartAfter = TimeSpan.FromMilliseconds(200); // RestartSec of the release's units
    private readonly HistoryFile _history;
    private readonly Lock _gate = new();
    private bool _isUp;
    private Process? _drivers;
    private long _startAgainAt = long.MaxValue;

    public Keeper(Machine machine, HistoryFile history, bool hasOwnWallClock, bool hasSmallDisk)
    {
        (Machine, _history) = (machine, history);
        WallClock = hasOwnWallClock ? new WallClock(machine) : null;
        Disk = hasSmallDisk ? new SmallDisk(machine.DataDirectory) : null;
    }

    public Machine Machine { get; }

    public string Id => Machine.Id;

    public int Number => int.Parse(Id.Split('-')[1], System.Globalization.CultureInfo.InvariantCulture);

    public SemaphoreSlim Processes { get; } = new(1);

    public SemaphoreSlim Cable { get; } = new(1);

    public WallClock? WallClock { get; }

    public SmallDisk? Disk { get; }

    /// <summary>Whether its daemon is meant to run.</summary>
    public bool IsUp
    {
        get
        {
            lock (_gate) return _isUp;
        }
    }

    public void Start()
    {
        lock (_gate)
        {
            if (!Machine.IsDaemonRunning) Machine.Start();
            (_isUp, _startAgainAt) = (true, long.MaxValue);
            if (WallClock is not null && _drivers is null or { HasExited: true }) StartDrivers();
        }
    }

    /// <summary>From now on the daemon's end is meant.</summary>
    public void Down()
    {
        lock (_gate) _isUp = false;
    }

    /// <summary>All processes at once, as if the power was cut; returns when the kernel has let go of what the daemon had open.</summary>
    public async Task KillAsync()
    {
        Down();
        Machine.KillEverything();
        await Machine.ExitAsync();
    }

    /// <summary>Looks after the daemon; called often.</summary>
    public void Look()
    {
        lock (_gate)
        {
            if (!_isUp) return;
            if (!Machine.IsDaemonRunning)
            {
                var now = ActObserver.Now;
                if (_startAgainAt == long.MaxValue)
                {
                    _startAgainAt = now + (long)RestartAfter.TotalMicroseconds;
                    _history.Add(new DaemonEnded(now, Id, Machine.ExitAsync().GetAwaiter().GetResult(), IsExpected: false, LastWords(Machine.Log)));
                }

                if (now < _startAgainAt) return;
                _startAgainAt = long.MaxValue;
                Machine.Start();
            }

            if (WallClock is not null && _drivers is { HasExited: true }) StartDrivers();
        }
    }

    public void Dispose()
    {
        Disk?.Dispose();
        _drivers?.Dispose();
        Processes.Dispose();
        Cable.Dispose();
    }

    // As the release's second unit does: no faketime in its environment.
    private void StartDrivers()
    {
        _drivers?.Dispose();
        _drivers = Process.Start(ClustdProgram.StartInfo(
            ["/bin/sh", "-c", "exec \"$@\" >>\"$E2E_LOG\" 2>&1 </dev/null", "sh", "ip", "netns", "exec", Machine.Namespace!, ClustdProgram.Path, "drivers", "--config", Machine.ConfigPath],
            new Dictionary<string, string>(Machine.Environment) { ["E2E_LOG"] = Path.Combine(Machine.Home, "drivers.log") }))!;
    }

    // The error, if it said one at its end.
    private static string LastWords(string log)
    {
        var lines = log.TrimEnd().Split('\n');
        return lines.TakeLast(8).LastOrDefault(line => line.Contains(" error ", StringComparison.Ordinal) || line.Contains("rror:", StringComparison.Ordinal) || line.Contains("xception", StringComparison.Ordinal)) ?? lines[^1];
    }
}
