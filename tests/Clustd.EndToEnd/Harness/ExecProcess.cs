using System.Diagnostics;

namespace Clustd.EndToEnd.Harness;

/// <summary>A `clustd exec` on a machine, its stdout and stderr in files: nobody has to read along, and a kill of it closes no pipe of ours.</summary>
public sealed class ExecProcess : IDisposable
{
    private static int _count;
    private readonly Process _process;
    private readonly string _path;

    private ExecProcess(Process process, string path) => (_process, _path) = (process, path);

    public int Pid => _process.Id;

    public bool IsRunning => !_process.HasExited;

    public string Out => Read(".out");

    public string Error => Read(".err");

    /// <param name="input">What it can read from stdin.</param>
    /// <param name="arguments">Behind `exec --config FILE`.</param>
    public static ExecProcess Start(Machine machine, string input, params string[] arguments)
    {
        var path = Path.Combine(machine.Home, $"exec-{Interlocked.Increment(ref _count)}");
        File.WriteAllText(path + ".in", input);
        // The shell is replaced: the pid is that of exec.
        string[] command = ["/bin/sh", "-c", "exec \"$@\" >\"$E2E_LOG.out\" 2>\"$E2E_LOG.err\" <\"$E2E_LOG.in\"", "sh", ClustdProgram.Path, "exec", "--config", machine.ConfigPath, .. arguments];
        return new ExecProcess(Process.Start(ClustdProgram.StartInfo(command, new Dictionary<string, string>(machine.Environment) { ["E2E_LOG"] = path }))!, path);
    }

    public void Signal(int signal) => new RunningProcess(Pid, Role.App, "").Signal(signal);

    /// <summary>Waits for its exit code.</summary>
    public async Task<int> ExitAsync()
    {
        await _process.WaitForExitAsync().WaitAsync(Eventually.Patience);
        return _process.ExitCode;
    }

    public Task Says(string words) => Eventually.IsTrue(() => Error.Contains(words, StringComparison.Ordinal), $"exec says '{words}', and not only: {Error}");

    public void Dispose() => _process.Dispose();

    // The shell makes the files, and may not have come that far.
    private string Read(string suffix) => File.Exists(_path + suffix) ? File.ReadAllText(_path + suffix) : "";
}
