using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace Clustd.EndToEnd.Harness;

/// <summary>One app's time at work: all acts under one token on one machine, in µs of CLOCK_MONOTONIC.</summary>
public sealed record Tenure(string Service, string Machine, long Token, int Pid, long FirstAt, long LastAt, long Acts);

/// <summary>
/// An act under a token although a newer one had acted already, or under another machine's token: what a fenced resource refuses. Also one by an app
/// that another one had replaced under the same token, which a resource could not tell.
/// </summary>
public sealed record RefusedAct(string Service, string Machine, long Token, long NewestToken, long At);

/// <summary>One act as it was read, and whether a resource that checks tokens would accept it; At is CLOCK_MONOTONIC, µs.</summary>
public readonly record struct Act(string Service, string Machine, long Token, int Pid, long At, bool IsAccepted);

/// <summary>
/// Watches what the apps do, and knows nothing of clustd. All apps write to one pipe, so the kernel itself orders their acts, whatever
/// machine or namespace they are in: an overlap is an act of an old token behind one of a newer token, no clock compared with another.
/// Instants are taken here when an act is read.
/// </summary>
public sealed partial class ActObserver : IDisposable
{
    private readonly Lock _gate = new();
    private readonly List<Tenure> _tenures = [];
    private readonly Dictionary<string, int> _newest = [];
    private readonly HashSet<(string Service, long Token, int Pid)> _superseded = []; // Apps that were restarted under the same token.
    private readonly List<RefusedAct> _refused = [];
    private readonly FileStream _pipe;
    private readonly Thread _reader;

    /// <param name="directory">Where the pipe is made.</param>
    public ActObserver(string directory)
    {
        Pipe = MakePipe(Path.Combine(directory, "acts"));
        Pause = MakePipe(Path.Combine(directory, "pause"));
        // For reading and writing: no end of file between two apps, and Dispose can wake the reader.
        _pipe = new FileStream(Pipe, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);
        _reader = new Thread(Read) { IsBackground = true, Name = "act observer" };
        _reader.Start();
    }

    /// <summary>Every act, in the kernel's order, on the observer's own thread.</summary>
    public event Action<Act>? Seen;

    /// <summary>CLOCK_MONOTONIC, µs.</summary>
    public static long Now => Stopwatch.GetTimestamp() / (Stopwatch.Frequency / 1_000_000);

    /// <summary>The pipe that apps write to.</summary>
    public string Pipe { get; }

    /// <summary>A pipe that nobody writes to: apps wait on it.</summary>
    public string Pause { get; }

    public IReadOnlyList<RefusedAct> Refused
    {
        get
        {
            lock (_gate) return [.. _refused];
        }
    }

    /// <summary>In the order of their first acts, which is that of their tokens.</summary>
    public IReadOnlyList<Tenure> Tenures(string service = "default")
    {
        lock (_gate) return [.. _tenures.Where(tenure => tenure.Service == service)];
    }

    /// <summary>Who has the newest token, or null before anybody has acted.</summary>
    public Tenure? Newest(string service = "default")
    {
        lock (_gate) return _newest.TryGetValue(service, out var index) ? _tenures[index] : null;
    }

    /// <summary>Forgets refusals that were expected and have been looked at.</summary>
    public void ForgetRefused()
    {
        lock (_gate) _refused.Clear();
    }

    /// <summary>For people.</summary>
    public string Story()
    {
        lock (_gate)
        {
            return string.Join('\n', _tenures.Select(tenure => string.Create(CultureInfo.InvariantCulture,
                    $"{tenure.Service} token {tenure.Token} on {tenure.Machine}: {tenure.FirstAt / 1e6:0.000000} to {tenure.LastAt / 1e6:0.000000} s, {tenure.Acts} acts")))
                + string.Concat(_refused.Take(20).Select(act => $"\nREFUSED: {act}"));
        }
    }

    public void Dispose()
    {
        _pipe.Write("end\n"u8);
        _reader.Join();
        _pipe.Dispose();
    }

    private void Read()
    {
        using var lines = new StreamReader(_pipe, leaveOpen: true);
        while (lines.ReadLine() is { } line && line != "end")
        {
            var at = Now;
            if (line.Split(' ') is [var service, var machine, var token, var pid])
            {
                var (number, process) = (long.Parse(token, CultureInfo.InvariantCulture), int.Parse(pid, CultureInfo.InvariantCulture));
                var isAccepted = Observe(service, machine, number, process, at);
                Seen?.Invoke(new Act(service, machine, number, process, at, isAccepted));
            }
        }
    }

    private bool Observe(string service, string machine, long token, int pid, long at)
    {
        lock (_gate)
        {
            if (!_newest.TryGetValue(service, out var index) || _tenures[index].Token < token)
            {
                _newest[service] = _tenures.Count;
                _tenures.Add(new Tenure(service, machine, token, pid, at, at, 1));
                return true;
            }

            var newest = _tenures[index];
            if (newest.Token == token && newest.Machine == machine && !_superseded.Contains((service, token, pid)))
            {
                if (newest.Pid != pid) _superseded.Add((service, token, newest.Pid));
                _tenures[index] = newest with { Pid = pid, LastAt = at, Acts = newest.Acts + 1 };
                return true;
            }

            _refused.Add(new RefusedAct(service, machine, token, newest.Token, at));
            return false;
        }
    }

    internal static string MakePipe(string path)
    {
        if (mkfifo(path, 0x180) != 0) throw new IOException($"Cannot make the pipe {path}: {Marshal.GetLastPInvokeErrorMessage()}.");
        return path;
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int mkfifo(string path, uint mode);
}
