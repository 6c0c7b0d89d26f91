using System.Diagnostics;
using Clustd.Client;
using Clustd.Drivers.Processes;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Drivers;

/// <summary>
/// Tests with real processes run one after the other: an orphan of one test's killed guard becomes a child of the test process, and the search for
/// orphans must not find another test's.
/// </summary>
[CollectionDefinition("processes", DisableParallelization = true)]
public sealed class ProcessesCollection;

/// <summary>A scratch directory, and the words in which the tests speak of processes.</summary>
public sealed class Scratch : IDisposable
{
    public const long Second = 1_000_000;

    /// <summary>Ignores TERM and never ends; its pid goes to the file given as $1.</summary>
    public const string Stubborn = "trap '' TERM; echo $$ > $0; while :; do sleep 0.05; done";

    public Scratch() => Directory = System.IO.Directory.CreateTempSubdirectory("clustd-test-").FullName;

    public string Directory { get; }

    /// <summary>The one built beside the tests; CLUSTD_TEST_PROGRAM names another, to run the same tests against a NativeAOT build.</summary>
    public static GuardCommand GuardProgram { get; } =
        new(Environment.GetEnvironmentVariable("CLUSTD_TEST_PROGRAM") ?? Path.Combine(AppContext.BaseDirectory, "clustd"), ["guard"]);

    public string File(string name) => Path.Combine(Directory, name);

    /// <summary>A command line that starts a stubborn process in its own session, whose parent is gone: nobody's child but a subreaper's.</summary>
    public string Daemonized(string pidFile) => $"(setsid sh -c \"{Stubborn.Replace("$", "\\$")}\" {File(pidFile)} &)";

    public async Task<int> PidIn(string name)
    {
        await Eventually(() => System.IO.File.Exists(File(name)) && System.IO.File.ReadAllText(File(name)).EndsWith('\n'), $"a pid in {name}");
        return int.Parse(System.IO.File.ReadAllText(File(name)));
    }

    internal static GuardSpec Spec(string script, long leaseEnd = long.MaxValue, long killTimeout = Second / 2, bool isScript = false, string? user = null, string? cwd = null) => new()
    {
        Command = ["/bin/sh", "-c", script],
        Environment = [$"PATH={Environment.GetEnvironmentVariable("PATH")}"],
        KillTimeoutMicros = killTimeout,
        LeaseEnd = leaseEnd,
        IsScript = isScript,
        User = user,
        WorkingDirectory = cwd,
    };

    internal static GuardedProcess Hold(GuardSpec spec, List<string>? lines = null) => GuardedProcess.Start(GuardProgram, spec, line =>
    {
        if (lines is null) return;
        lock (lines) lines.Add(line);
    });

    public static long Now => DriverClock.NowUs;

    public static bool IsAlive(int pid) => ProcessTree.IsAlive(pid);

    public static void Signal(int pid, int signalNumber) => LinuxCalls.kill(pid, signalNumber).ShouldBe(0);

    public static async Task Eventually(Func<bool> condition, string what)
    {
        var watch = Stopwatch.StartNew();
        while (!condition())
        {
            if (watch.Elapsed > TimeSpan.FromSeconds(20)) throw new TimeoutException($"Waited 20 s for {what}.");
            await Task.Delay(5);
        }
    }

    public void Dispose() => System.IO.Directory.Delete(Directory, recursive: true);
}
