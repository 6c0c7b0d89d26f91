using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using Clustd.Config;
using Clustd.Core;
using Clustd.Drivers;
using Clustd.Drivers.Processes;
using Clustd.Systemd;

namespace Clustd.Cli;

/// <summary>
/// The driver process beside a daemon: started if there is none, adopted if one lives, replaced if the file's drivers have changed, started
/// again if it dies. It has a session of its own and our stdout itself, no pipe to us: it must outlive a daemon that is killed.
/// </summary>
internal sealed class DriverChild(ClustdConfig config, Action<Severity, string> say)
{
    /// <summary>In the environment of a driver process that `run` started, where only its own user can read it: the hash of what it runs.</summary>
    internal const string Mark = "CLUSTD_DRIVERS_HASH";

    // Above the longest chain of stops that is usual; whoever is still there then is killed, and its guards stop what it ran.
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan BackOffMin = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan BackOffMax = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan HealthyAfter = TimeSpan.FromSeconds(60);

    private int _pid; // 0: none that we may end

    /// <summary>Sees to it that one runs, until cancelled; the process goes on then.</summary>
    public async Task KeepAsync(CancellationToken cancellationToken)
    {
        var backOff = BackOffMin;
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                var lived = await KeepOneAsync(cancellationToken);
                backOff = lived > HealthyAfter ? BackOffMin : backOff;
                say(Severity.Warning, $"The driver process ended. It is started again in {backOff.TotalSeconds:0.#} s.");
                await Task.Delay(backOff, cancellationToken);
                backOff = backOff * 2 < BackOffMax ? backOff * 2 : BackOffMax;
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                return;
            }
            catch (IOException e)
            {
                say(Severity.Error, $"Cannot start the driver process: {e.Message}");
                await Task.Delay(BackOffMax, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    /// <summary>Ends the driver process if it is ours: after the daemon's goodbye nothing runs in it any more.</summary>
    public async Task EndAsync()
    {
        if (_pid != 0) await EndAsync(_pid);
        _pid = 0;
    }

    /// <summary>At once: its guards see their pipes close, and stop what it ran.</summary>
    public void Kill()
    {
        if (_pid != 0) LinuxCalls.kill(_pid, LinuxCalls.SIGKILL);
    }

    private async Task<TimeSpan> KeepOneAsync(CancellationToken cancellationToken)
    {
        var pid = await AdoptAsync(cancellationToken) ?? Start();
        var since = Stopwatch.GetTimestamp();
        await EndOf(pid).WaitAsync(cancellationToken);
        LinuxCalls.Reap(pid, block: false, out _, out _, out _); // Not ours if it was adopted: then init has done it.
        _pid = 0;
        return Stopwatch.GetElapsedTime(since);
    }

    private async Task<int?> AdoptAsync(CancellationToken cancellationToken)
    {
        if (DriverLock.HolderOf(config.Server.DataDirectory) is not { } pid || pid == 0) return null;
        switch (MarkOf(pid))
        {
            case null:
                say(Severity.Information, $"Drivers: process {pid} runs them already and was not started by `clustd run`: restart it yourself after a change of the drivers.");
                return pid;
            case var mark when mark == HashOf(config):
                _pid = pid;
                say(Severity.Information, $"Drivers: process {pid} of the daemon before runs on.");
                return pid;
            default:
                say(Severity.Information, $"Drivers: they have changed in the file. Process {pid} stops what it runs, then another one starts.");
                await EndAsync(pid).WaitAsync(cancellationToken);
                return null;
        }
    }

    private int Start()
    {
        IEnumerable<string> arguments = config.Path is { } path ? ["drivers", "--config", path] : ["drivers"];
        _pid = OwnProgram.Start(arguments, hide: NotifySocket.IsVariable, new Dictionary<string, string> { [Mark] = HashOf(config) });
        return _pid;
    }

    private async Task EndAsync(int pid)
    {
        LinuxCalls.kill(pid, LinuxCalls.SIGTERM);
        var end = EndOf(pid);
        if (await Task.WhenAny(end, Task.Delay(EndLimit)) != end)
        {
            say(Severity.Warning, $"The driver process {pid} did not end within {EndLimit.TotalSeconds:0} s and is killed; its guards stop what it ran.");
            LinuxCalls.kill(pid, LinuxCalls.SIGKILL);
            await end;
        }

        LinuxCalls.Reap(pid, block: false, out _, out _, out _);
    }

    /// <summary>A thread of its own waits in the kernel: no polling, no pool timer. It also works for a process that is not our child.</summary>
    private static Task EndOf(int pid)
    {
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var thread = new Thread(() =>
        {
            var process = LinuxCalls.OpenProcess(pid);
            while (ProcessTree.IsAlive(pid))
            {
                if (process < 0) Thread.Sleep(100); // a kernel before 5.3
                else LinuxCalls.Poll([new LinuxCalls.PollDescriptor { Descriptor = process, Events = LinuxCalls.POLLIN }], -1);
            }

            if (process >= 0) LinuxCalls.close(process);
            ended.SetResult();
        })
        {
            IsBackground = true,
            Name = "driver process watch",
        };
        thread.Start();
        return ended.Task;
    }

    private static string? MarkOf(int pid)
    {
        try
        {
            var start = Mark + "=";
            return File.ReadAllText($"/proc/{pid}/environ").Split('\0').FirstOrDefault(line => line.StartsWith(start, StringComparison.Ordinal))?[start.Length..];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null; // Another user's: not ours to end.
        }
    }

    /// <summary>Of all that a driver process takes from the file: whom it talks to, and its drivers. A comment or another lease changes nothing.</summary>
    internal static string HashOf(ClustdConfig config)
    {
        var text = new StringBuilder($"{config.Server.BindAddress}\n{config.Server.BindPort}\n{config.Cluster.Secret}\n");
        foreach (var driver in config.Drivers)
        {
            text.Append($"{driver}\n"); // A record prints its members, but of a list only the type.
            text.AppendJoin('\n', driver.Unprinted).Append('\n');
        }

        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())));
    }
}
