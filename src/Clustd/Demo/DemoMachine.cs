using System.Globalization;
using Clustd.Cli;
using Clustd.Drivers.Processes;
using Clustd.Http;

namespace Clustd.Demo;

/// <summary>One of the demo's machines: a folder with a configuration, and a `clustd run` with all that comes of it.</summary>
internal sealed class DemoMachine : IDisposable
{
    private readonly string _folder;

    public DemoMachine(string id, string folder, int port, int webPort, string secret)
    {
        _folder = folder;
        (Id, Port, WebPort) = (id, port, webPort);
        Api = new DaemonApi("127.0.0.1", port, secret);
        Directory.CreateDirectory(folder);
    }

    public string Id { get; }

    /// <summary>Where it listens; the others know it by its proxy's port.</summary>
    public int Port { get; }

    /// <summary>Where the service answers when it runs here.</summary>
    public int WebPort { get; }

    /// <summary>Of `clustd run`; 0: it is not started.</summary>
    public int Pid { get; private set; }

    /// <summary>What the demo has done to it, in a word or two.</summary>
    public string Condition { get; set; } = "not started";

    public DaemonApi Api { get; }

    public string LogPath => Path.Combine(_folder, "log");

    private string ConfigPath => Path.Combine(_folder, "config.yml");

    public void Dispose() => Api.Dispose();

    /// <param name="proxyPorts">Of all machines, this one's included.</param>
    /// <param name="ownProxyPort">By which the others know this one.</param>
    public void WriteConfig(IReadOnlyList<int> proxyPorts, int ownProxyPort, string secret, TimeSpan lease, int observerPort)
    {
        var run = OwnProgram.ShellLine(DemoService.Word, "--port", Text(WebPort), "--observer", Text(observerPort));
        File.WriteAllText(ConfigPath, $$"""
            server: { bind_address: 127.0.0.1, bind_port: {{Port}}, remote_address: ws://127.0.0.1:{{ownProxyPort}}, data_dir: '{{Path.Combine(_folder, "data")}}' }
            cluster:
              secret: '{{secret}}'
              id: {{Id}}
              lease: {{Text((int)lease.TotalMilliseconds)}}ms
              machines: [{{string.Join(", ", proxyPorts.Select(port => $"ws://127.0.0.1:{port}"))}}]
            services:
              web: {}
            drivers:
              - shell: { service: web, run: 'exec {{run.Replace("'", "''")}}' }
            """);
    }

    public void Start()
    {
        Condition = "up";
        var log = LinuxCalls.MoveUp(LinuxCalls.open(LogPath, OpenAppend, 0x180 /* rw for the owner */));
        try
        {
            // Nothing that the user has set for a clustd of his own may reach these.
            Pid = OwnProgram.Start(
                ["run", "--config", ConfigPath],
                hide: AppEnvironment.IsOurs,
                new Dictionary<string, string> { ["DOTNET_TieredPGO"] = "0", ["NO_COLOR"] = "1" },
                log);
        }
        finally
        {
            LinuxCalls.close(log);
        }
    }

    /// <summary>SIGKILL to all that runs on this machine; returns how many processes that were.</summary>
    public int Kill()
    {
        var killed = ProcessTree.Descendants(Pid).Prepend(Pid).Where(ProcessTree.IsAlive).ToList();
        foreach (var pid in killed) LinuxCalls.kill(pid, LinuxCalls.SIGKILL);
        (Pid, Condition) = (0, "killed");
        return killed.Count;
    }

    /// <summary>What this machine says of the cluster; null: it does not answer.</summary>
    public async Task<StatusView?> StatusAsync(CancellationToken cancellationToken)
    {
        try
        {
            return Pid == 0 ? null : (await Api.LocalStatusAsync(cancellationToken)).View;
        }
        catch (CommandException)
        {
            return null;
        }
    }

    /// <summary>Whether it could take the service over now.</summary>
    public async Task<bool> IsReadyAsync(CancellationToken cancellationToken) =>
        await StatusAsync(cancellationToken) is { IsKnown: true, SessionLeftMs: > 0 } status && status.Drivers.Any(driver => driver.Connected);

    private const int OpenAppend = LinuxCalls.O_RDWR | LinuxCalls.O_CREAT | LinuxCalls.O_CLOEXEC | 0x400;

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
