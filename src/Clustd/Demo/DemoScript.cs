using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Clustd.Cli;
using Clustd.Client;
using Clustd.Config;
using Clustd.Drivers.Processes;

namespace Clustd.Demo;

/// <summary>
/// The demo, step by step: three real daemons with their driver processes, guards and apps, a kill, a cut, a move. What it says of takeovers
/// is what <see cref="DemoObserver"/> saw.
/// </summary>
/// <param name="folder">For configurations, data and logs.</param>
/// <param name="narrate">Told each sentence as it happens.</param>
internal sealed class DemoScript(string folder, TimeSpan lease, Action<TimeSpan, string> narrate) : IAsyncDisposable
{
    private const int MachineCount = 3;

    // Far above every bound, for a machine under heavy load: who waits that long has found a fault.
    private static readonly TimeSpan WaitLimit = TimeSpan.FromSeconds(25);
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(10);
    // After a step: an old master that still acts would be seen in this time.
    private static readonly TimeSpan WatchAfter = TimeSpan.FromMilliseconds(700);

    private readonly long _started = Stopwatch.GetTimestamp();
    private readonly DemoObserver _observer = new();
    private readonly List<DemoMachine> _machines = [];
    private readonly List<DemoStep> _steps = [];
    private DemoNetwork? _network;

    /// <summary>All of them, as soon as they are made; another thread may read it.</summary>
    public IReadOnlyList<DemoMachine> Machines { get; private set; } = [];

    public DemoObserver Observer => _observer;

    /// <summary>What is being done now.</summary>
    public DemoScene Scene { get; private set; } = new("three machines start and meet", null, null);

    /// <summary>What has been done so far. Another thread may read it.</summary>
    public IReadOnlyList<DemoStep> Steps { get; private set; } = [];

    public TimeSpan Elapsed => Stopwatch.GetElapsedTime(_started);

    public TimeSpan Bound => FailoverBound.Of(lease, ServiceConfig.Default.KillTimeout);

    /// <summary>Plays it all; a step that fails ends it.</summary>
    public async Task<DemoReport> PlayAsync(CancellationToken cancellationToken)
    {
        string? problem = null;
        try
        {
            await FormAsync(cancellationToken);
            var killed = await KillMasterAsync(cancellationToken);
            await RestartAsync(killed, cancellationToken);
            var cut = await CutMasterAsync(cancellationToken);
            await HealAsync(cut, cancellationToken);
            await MoveAsync(cancellationToken);
        }
        catch (DemoFailedException e)
        {
            problem = e.Message;
            Say(e.Message);
        }

        var reigns = _observer.Reigns;
        var worst = DemoObserver.WorstOverlapMs(reigns);
        return new DemoReport(
            problem is null && worst is null or <= 0 && _steps.All(step => step.Ok), lease.TotalMilliseconds, Bound.TotalMilliseconds, Elapsed.TotalMilliseconds,
            reigns.Sum(reign => reign.Acts), _steps.Count(step => step.GapMs is not null), worst, problem, _steps);
    }

    /// <summary>Ends all that was started.</summary>
    public async ValueTask DisposeAsync()
    {
        // As a subreaper we get every orphan of ours: what is below us is all there is. Again and again, because the dying may still start something.
        for (var until = Stopwatch.GetTimestamp() + (5 * Stopwatch.Frequency); Stopwatch.GetTimestamp() < until;)
        {
            while (LinuxCalls.Reap(-1, block: false, out _, out _, out _))
            {
            }

            var left = ProcessTree.Descendants(Environment.ProcessId);
            if (left.Count == 0) break;
            foreach (var pid in left) LinuxCalls.kill(pid, LinuxCalls.SIGKILL);
            await Task.Delay(LookEvery);
        }

        if (_network is not null) await _network.DisposeAsync();
        _observer.Dispose();
        _machines.ForEach(machine => machine.Dispose());
    }

    private async Task FormAsync(CancellationToken cancellationToken)
    {
        LinuxCalls.BecomeSubreaper();
        var secret = SecretGenerator.New();
        _network = new DemoNetwork(SourceOf);
        for (var i = 1; i <= MachineCount; i++) _machines.Add(new DemoMachine($"cm-{i}", Path.Combine(folder, $"cm-{i}"), FreePort(), FreePort(), secret));
        Machines = [.. _machines];
        var proxies = _machines.Select(machine => _network.Add(machine.Id, machine.Port)).ToList();
        foreach (var (machine, proxy) in _machines.Zip(proxies))
        {
            machine.WriteConfig(proxies, proxy, secret, lease, _observer.Port);
            machine.Start();
        }

        Say($"{string.Join(", ", _machines.Select(machine => $"{machine.Id} (process {machine.Pid})"))} start, each with a data directory of its own, and meet through a TCP proxy.");
        var first = await WaitForAsync("a first master", () => _observer.Newest, cancellationToken);
        await WaitUntilReadyAsync(cancellationToken);
        var leader = (await _machines[0].StatusAsync(cancellationToken))?.Leader;
        Say($"The cluster has formed, {leader} leads. `web` runs on {first.Machine} with token {TokenText.Of(first.Token)}: {await AskWebAsync(first.Machine, cancellationToken)}");
        Add(new DemoStep("form", true, null, first.Machine, null, first.Token, null, null, null, $"web runs on {first.Machine}"));
    }

    private async Task<DemoMachine> KillMasterAsync(CancellationToken cancellationToken)
    {
        var master = MasterNow();
        return await TakeoverAsync("kill -9", $"kill -9 of all that runs on {master.Id}", master, () =>
        {
            var count = master.Kill();
            return $"SIGKILL to all {count} processes of {master.Id}: daemon, drivers, guard, app.";
        }, cancellationToken);
    }

    private async Task RestartAsync(DemoMachine machine, CancellationToken cancellationToken)
    {
        var before = _observer.Newest!;
        machine.Start();
        Scene = new DemoScene($"{machine.Id} is started again: it comes back as a standby", null, null);
        Say($"{machine.Id} is started again.");
        await WaitUntilReadyAsync(cancellationToken);
        await StaysAsync("restart", machine, before, cancellationToken);
    }

    private async Task<DemoMachine> CutMasterAsync(CancellationToken cancellationToken)
    {
        var master = MasterNow();
        return await TakeoverAsync("cut off", $"{master.Id} is cut off: nothing reaches it, nothing leaves it", master, () =>
        {
            _network!.Cut(master.Id);
            master.Condition = "cut off";
            return $"{master.Id} is cut off: its connections stay open and carry nothing. All its processes run on, and nobody tells it.";
        }, cancellationToken);
    }

    private async Task HealAsync(DemoMachine machine, CancellationToken cancellationToken)
    {
        var before = _observer.Newest!;
        var own = await machine.StatusAsync(cancellationToken);
        Say($"{machine.Id} says of itself: {own?.Services.FirstOrDefault()?.Reason ?? own?.WaitsFor ?? "nothing"}");
        _network!.Heal();
        machine.Condition = "up";
        Scene = new DemoScene($"{machine.Id} is connected again: it comes back as a standby", null, null);
        Say($"{machine.Id} is connected again.");
        await WaitUntilReadyAsync(cancellationToken);
        await StaysAsync("heal", machine, before, cancellationToken);
    }

    private async Task MoveAsync(CancellationToken cancellationToken)
    {
        var master = MasterNow();
        var target = _machines.First(machine => machine != master);
        await TakeoverAsync("move", $"clustd move web {target.Id}", master, async () =>
        {
            var outcome = await target.Api.MoveAsync("web", target.Id, cancellationToken);
            return $"clustd move web {target.Id}: {outcome.Sentence}";
        }, cancellationToken);
    }

    /// <summary>Does something to the master and waits until another one acts. Returns the old master.</summary>
    private async Task<DemoMachine> TakeoverAsync(string step, string scene, DemoMachine master, Func<Task<string>> act, CancellationToken cancellationToken)
    {
        var old = _observer.Newest!;
        var faultUs = DriverClock.NowUs;
        Scene = new DemoScene(scene, faultUs, old.Token);
        Say(await act());
        var taken = await WaitForAsync($"another master than {old.Machine}", () => _observer.Newest is { } newest && newest.Token > old.Token ? newest : null, cancellationToken);
        await Task.Delay(WatchAfter, cancellationToken);

        old = _observer.Reigns.Single(reign => reign.Token == old.Token && reign.Machine == old.Machine);
        var (overlap, after) = (DemoObserver.OverlapMs(old, taken), (taken.FirstUs - faultUs) / 1000.0);
        var acted = (old.LastUs - faultUs) / 1000.0;
        Say($"{taken.Machine} is the master, token {TokenText.Of(taken.Token)}, {DemoReport.Ms(after)} after that. {old.Machine} acted for the last time {DemoReport.Ms(Math.Max(0, acted))} after it, and nobody for {DemoReport.Ms(-overlap)}: {await AskWebAsync(taken.Machine, cancellationToken)}");
        Add(new DemoStep(
            step, overlap <= 0 && taken.Machine != old.Machine, old.Machine, taken.Machine, old.Token, taken.Token, after, -overlap, overlap,
            $"{old.Machine} -> {taken.Machine}"));
        return master;
    }

    private Task<DemoMachine> TakeoverAsync(string step, string scene, DemoMachine master, Func<string> act, CancellationToken cancellationToken) =>
        TakeoverAsync(step, scene, master, () => Task.FromResult(act()), cancellationToken);

    private async Task StaysAsync(string step, DemoMachine machine, Reign before, CancellationToken cancellationToken)
    {
        await Task.Delay(WatchAfter, cancellationToken);
        var now = _observer.Newest!;
        var stayed = now.Token == before.Token;
        Say(stayed ? $"{machine.Id} is back as a standby; `web` stays on {now.Machine} with token {TokenText.Of(now.Token)}." : $"`web` moved to {now.Machine} with token {TokenText.Of(now.Token)} although nothing asked for it.");
        Add(new DemoStep(step, stayed, null, now.Machine, before.Token, now.Token, null, null, null, stayed ? $"{machine.Id} is back, nothing moved" : "moved without a cause"));
    }

    private async Task WaitUntilReadyAsync(CancellationToken cancellationToken)
    {
        foreach (var machine in _machines)
        {
            await WaitForAsync($"{machine.Id} with a session and its driver", async () => await machine.IsReadyAsync(cancellationToken) ? machine : null, cancellationToken);
        }
    }

    private Task<T> WaitForAsync<T>(string what, Func<T?> look, CancellationToken cancellationToken)
        where T : class => WaitForAsync(what, () => Task.FromResult(look()), cancellationToken);

    private static async Task<T> WaitForAsync<T>(string what, Func<Task<T?>> look, CancellationToken cancellationToken)
        where T : class
    {
        var since = Stopwatch.GetTimestamp();
        while (true)
        {
            if (await look() is { } found) return found;
            if (Stopwatch.GetElapsedTime(since) > WaitLimit)
            {
                throw new DemoFailedException($"The demo gives up: there is not {what} after {WaitLimit.TotalSeconds:0} s. The end of each machine's log says why; --keep keeps all of it.");
            }

            await Task.Delay(LookEvery, cancellationToken);
        }
    }

    private DemoMachine MasterNow() => _machines.Single(machine => machine.Id == _observer.Newest!.Machine);

    private async Task<string> AskWebAsync(string id, CancellationToken cancellationToken)
    {
        var port = _machines.Single(machine => machine.Id == id).WebPort;
        try
        {
            using var client = new HttpClient(new SocketsHttpHandler { UseProxy = false }) { Timeout = TimeSpan.FromSeconds(2) };
            return $"http://127.0.0.1:{port} says \"{(await client.GetStringAsync($"http://127.0.0.1:{port}", cancellationToken)).Trim()}\".";
        }
        catch (Exception e) when (e is HttpRequestException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return $"http://127.0.0.1:{port} does not answer yet.";
        }
    }

    private string? SourceOf(int itsPort, int ourPort)
    {
        var pid = SocketOwner.Find(itsPort, ourPort, _machines.Where(machine => machine.Pid != 0).Select(machine => machine.Pid));
        return _machines.FirstOrDefault(machine => machine.Pid == pid)?.Id;
    }

    private void Add(DemoStep step)
    {
        _steps.Add(step);
        Steps = [.. _steps];
    }

    private void Say(string sentence) => narrate(Elapsed, sentence);

    private static int FreePort()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }
}

/// <summary>What the demo is doing.</summary>
/// <param name="FaultUs">When it was done to the master, on the clock of <see cref="DriverClock"/>; null: nobody is to take over.</param>
/// <param name="OldToken">Under which the master of that moment ran.</param>
internal sealed record DemoScene(string Sentence, long? FaultUs, long? OldToken);

/// <summary>What the demo waited for did not happen.</summary>
internal sealed class DemoFailedException(string message) : Exception(message);
