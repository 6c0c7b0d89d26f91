using System.Text;
using Clustd.Drivers.Processes;

namespace Clustd.Guard;

/// <summary>
/// Passes the app's output line by line to the driver, in bounded memory, without ever waiting. A fast writer is slowed down as by any
/// pipe; when the driver does not read at all (it is frozen), output is thrown away and counted, so that the app is not blocked for ever.
/// </summary>
/// <param name="source">Non-blocking read end of the app's stdout and stderr; -1 once it has ended.</param>
/// <param name="driver">Non-blocking write end towards the driver.</param>
internal sealed class OutputRelay(int source, int driver)
{
    public const int LineBytesMax = 8192;

    private const int QueueBytesMax = 64 * 1024;       // towards the driver; one pipe's worth
    private const int WindowBytesMax = 256 * 1024;     // per window: some 5 MB/s are plenty for a log, and leave the guard's time to its duty
    private const long WindowMicros = 50_000;
    private const long StallMicros = 1_000_000;        // a driver that took nothing for this long is not reading

    private readonly byte[] _read = new byte[32 * 1024];
    private readonly byte[] _line = new byte[LineBytesMax];
    private readonly MemoryStream _queue = new();
    private int _source = source;
    private int _lineLength;
    private int _queueStart;
    private long _windowEnd;
    private int _windowBytes;
    private long _tookLastAt = long.MaxValue;
    private long _dropped;
    private bool _driverGone;

    public bool HasEnded => _source < 0;

    public int Source => _source;

    public bool DriverIsDead => _driverGone;

    public bool WantsToWrite => !_driverGone && _queue.Length > _queueStart;

    /// <summary>Whether the app's pipe should be looked at now; if not, <see cref="NextLookAt"/> says when.</summary>
    public bool WantsToRead(long now) => _source >= 0 && (Discarding(now) || (_queue.Length - _queueStart < QueueBytesMax && !Exhausted(now)));

    public long NextLookAt(long now) => _source < 0 ? long.MaxValue
        : Exhausted(now) ? _windowEnd
        : WantsToWrite && !Discarding(now) && _tookLastAt != long.MaxValue ? _tookLastAt + StallMicros
        : long.MaxValue;

    /// <summary>A line of the guard's own for the driver, behind the output that came before it.</summary>
    public void Say(string status, long now) => Enqueue(Encoding.UTF8.GetBytes(status), default, now);

    /// <summary>Takes in one piece of output; false when there is nothing more to read now.</summary>
    public bool ReadSome(long now)
    {
        if (_source < 0) return false;
        int count = LinuxCalls.Read(_source, _read);
        if (count < 0) return false;
        if (count == 0)
        {
            if (_lineLength > 0) EndLine(now);
            LinuxCalls.close(_source);
            _source = -1;
            return false;
        }
        if (now >= _windowEnd) (_windowEnd, _windowBytes) = (now + WindowMicros, 0);
        _windowBytes += count;
        foreach (byte b in _read.AsSpan(0, count))
        {
            if (b == (byte)'\n') EndLine(now);
            else
            {
                // A longer line goes on in the next one: bounded memory matters more than the shape of a line nobody can read.
                if (_lineLength == LineBytesMax) EndLine(now);
                _line[_lineLength++] = b;
            }
        }
        return true;
    }

    /// <summary>What is left in the pipe when all processes are gone: at most what a pipe holds.</summary>
    public void ReadRest(long now)
    {
        for (int i = 0; i < 8 && ReadSome(now); i++) WriteSome(now);
    }

    /// <summary>Gives the driver what it will take now.</summary>
    public void WriteSome(long now)
    {
        while (WantsToWrite)
        {
            int count = LinuxCalls.Write(driver, _queue.GetBuffer().AsSpan(_queueStart, (int)_queue.Length - _queueStart));
            if (count < 0)
            {
                if (LinuxCalls.Errno == LinuxCalls.EAGAIN) return;
                DriverIsGone();
                return;
            }
            _queueStart += count;
            _tookLastAt = now;
        }
        if (_queueStart == _queue.Length) (_queueStart, _tookLastAt) = (Reset(), long.MaxValue);
    }

    /// <summary>From now on output is read, so that the app does not block, and goes nowhere.</summary>
    public void DriverIsGone()
    {
        _driverGone = true;
        _queueStart = Reset();
    }

    private void EndLine(long now)
    {
        Enqueue("| "u8, _line.AsSpan(0, _lineLength), now);
        _lineLength = 0;
    }

    private void Enqueue(ReadOnlySpan<byte> head, ReadOnlySpan<byte> tail, long now)
    {
        if (_driverGone) return;
        bool isOutput = head.StartsWith("|"u8);
        if (isOutput && Discarding(now))
        {
            _dropped++;
            return;
        }
        Compact();
        if (_dropped > 0 && _queue.Length - _queueStart < QueueBytesMax)
        {
            _queue.Write(Encoding.UTF8.GetBytes($"dropped {_dropped}\n"));
            _dropped = 0;
        }
        if (_queue.Length == 0) _tookLastAt = now;
        _queue.Write(head);
        _queue.Write(tail);
        _queue.Write("\n"u8);
    }

    private bool Discarding(long now) =>
        _driverGone || (_queue.Length - _queueStart >= QueueBytesMax && _tookLastAt != long.MaxValue && now - _tookLastAt > StallMicros);

    private bool Exhausted(long now) => now < _windowEnd && _windowBytes >= WindowBytesMax;

    private void Compact()
    {
        if (_queueStart < QueueBytesMax) return;
        int left = (int)_queue.Length - _queueStart;
        _queue.GetBuffer().AsSpan(_queueStart, left).CopyTo(_queue.GetBuffer());
        _queue.SetLength(left);
        _queue.Position = left;
        _queueStart = 0;
    }

    private int Reset()
    {
        _queue.SetLength(0);
        return 0;
    }
}
