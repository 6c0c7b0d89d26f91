using System.Runtime.InteropServices;

namespace Clustd.EndToEnd.Harness;

/// <summary>One thread of another process stands still, and all others go on: by ptrace(2), whose calls must all come from one thread.</summary>
public sealed partial class StoppedThread : IDisposable
{
    private const int PTRACE_SEIZE = 0x4206, PTRACE_INTERRUPT = 0x4207, PTRACE_DETACH = 17, __WALL = 0x40000000;

    private readonly ManualResetEventSlim _end = new();
    private readonly TaskCompletionSource<string?> _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Thread _tracer;

    private StoppedThread(int thread)
    {
        _tracer = new Thread(() => Stop(thread)) { IsBackground = true };
        _tracer.Start();
    }

    /// <summary>Stops the thread of that name.</summary>
    public static async Task<StoppedThread> OfAsync(int process, string name)
    {
        var thread = Directory.EnumerateDirectories($"/proc/{process}/task").Single(task => File.ReadAllText($"{task}/comm").Trim() == name);
        var stopped = new StoppedThread(int.Parse(Path.GetFileName(thread), System.Globalization.CultureInfo.InvariantCulture));
        if (await stopped._stopped.Task is { } problem) throw new InvalidOperationException(problem);
        return stopped;
    }

    public void Dispose()
    {
        _end.Set();
        _tracer.Join();
        _end.Dispose();
    }

    private unsafe void Stop(int thread)
    {
        int status;
        if (ptrace(PTRACE_SEIZE, thread, 0, 0) != 0 || ptrace(PTRACE_INTERRUPT, thread, 0, 0) != 0 || waitpid(thread, &status, __WALL) != thread)
        {
            _stopped.SetResult($"Cannot stop thread {thread}: {Marshal.GetLastPInvokeErrorMessage()}.");
            return;
        }

        _stopped.SetResult(null);
        _end.Wait();
        ptrace(PTRACE_DETACH, thread, 0, 0);
    }

    [LibraryImport("libc", SetLastError = true)] private static partial nint ptrace(nint request, nint pid, nint address, nint data);
    [LibraryImport("libc", SetLastError = true)] private static unsafe partial int waitpid(int pid, int* status, int options);
}
