using System.Globalization;
using Clustd.Chaos.History;
using Clustd.EndToEnd.Harness;

namespace Clustd.Chaos.Run;

/// <summary>
/// How late this machine runs what is due: a thread that does nothing but sleep for 5 ms and look at the clock. What it suffers, clustd's machines suffer as well, here
/// where they all share the processors; a bound is missed because of that only if no more time is missing than was lost here.
/// </summary>
internal sealed class LoadMeter : IDisposable
{
    private const int EveryMs = 5;
    private readonly HistoryFile _history;
    private readonly Thread _thread;
    private volatile bool _isOver;

    public LoadMeter(HistoryFile history)
    {
        _history = history;
        _thread = new Thread(Measure) { IsBackground = true, Name = "load meter" };
        _thread.Start();
    }

    public void Dispose()
    {
        _isOver = true;
        _thread.Join();
    }

    private void Measure()
    {
        var (before, idle) = Processor();
        while (!_isOver)
        {
            var (since, worst) = (ActObserver.Now, 0L);
            while (!_isOver && ActObserver.Now - since < 1_000_000)
            {
                var at = ActObserver.Now;
                Thread.Sleep(EveryMs);
                worst = Math.Max(worst, ActObserver.Now - at - (EveryMs * 1000));
            }

            var (total, idleNow) = Processor();
            var load = double.Parse(File.ReadAllText("/proc/loadavg").Split(' ')[0], CultureInfo.InvariantCulture);
            _history.Add(new LoadSeen(since, worst, load, total == before ? 0 : Math.Round(1 - ((double)(idleNow - idle) / (total - before)), 3)));
            (before, idle) = (total, idleNow);
        }
    }

    private static (long Total, long Idle) Processor()
    {
        var ticks = File.ReadLines("/proc/stat").First().Split(' ', StringSplitOptions.RemoveEmptyEntries).Skip(1).Select(text => long.Parse(text, CultureInfo.InvariantCulture)).ToList();
        return (ticks.Take(8).Sum(), ticks[3] + ticks[4]);
    }
}
