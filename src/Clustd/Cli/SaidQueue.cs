using Clustd.Core;

namespace Clustd.Cli;

/// <summary>
/// Takes what a daemon says, and writes it on a thread of its own: a terminal that was halted with Ctrl-S, or a journal that does not read, must not hold
/// up decisions. When it cannot be written for so long that the queue is full, the newest lines are lost, and their number is said.
/// </summary>
internal sealed class SaidQueue : IDisposable
{
    // Some minutes of a bad day; a line is a few hundred bytes.
    private const int LinesMax = 2048;

    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(1);

    private readonly Action<DateTime, Severity, string> _write;
    private readonly Thread _thread;
    private readonly object _gate = new();
    private readonly Queue<(DateTime At, Severity Severity, string Sentence)> _lines = new(); // guarded by _gate, as are the following
    private int _lost;
    private bool _ending;

    /// <param name="write">May block. Called by one thread only.</param>
    public SaidQueue(Action<DateTime, Severity, string> write)
    {
        _write = write;
        // Background: whoever does not read must not keep the process from ending.
        _thread = new Thread(Run) { IsBackground = true, Name = "log writer" };
        _thread.Start();
    }

    /// <summary>Any thread; never waits.</summary>
    public void Say(Severity severity, string sentence)
    {
        lock (_gate)
        {
            if (_lines.Count >= LinesMax)
            {
                _lost++;
                return;
            }

            _lines.Enqueue((DateTime.Now, severity, sentence));
            Monitor.Pulse(_gate);
        }
    }

    /// <summary>Waits until all is written, for a second at most.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _ending = true;
            Monitor.Pulse(_gate);
        }

        _thread.Join(EndLimit);
    }

    private void Run()
    {
        while (Take() is var (at, severity, sentence))
        {
            _write(at, severity, sentence);
        }
    }

    private (DateTime At, Severity Severity, string Sentence)? Take()
    {
        lock (_gate)
        {
            while (_lines.Count == 0 && _lost == 0 && !_ending)
            {
                Monitor.Wait(_gate);
            }

            if (_lines.TryDequeue(out var line)) return line;
            if (_lost == 0) return null;
            var sentence = $"{_lost} lines are lost here: nobody read what was written for too long. `clustd events` has what was decided meanwhile.";
            _lost = 0;
            return (DateTime.Now, Severity.Warning, sentence);
        }
    }
}
