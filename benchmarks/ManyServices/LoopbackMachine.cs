using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Clustd.ManyServices;

/// <summary>A real daemon on loopback and a real driver process beside it. What the driver is told comes in by its standard output.</summary>
internal sealed class LoopbackMachine(string id, string folder, int port, string secret, int services) : IDisposable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, long> _startedAt = [];
    private Process? _daemon;
    private Process? _driver;

    public string Id => id;

    public static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    public void Start(string clustd, IEnumerable<int> ports, string lease)
    {
        Directory.CreateDirectory(folder);
        var config = Path.Combine(folder, "config.yml");
        File.WriteAllText(config, $$"""
            server: { bind_address: 127.0.0.1, bind_port: {{port}}, remote_address: ws://127.0.0.1:{{port}}, data_dir: '{{Path.Combine(folder, "data")}}' }
            cluster:
              secret: '{{secret}}'
              id: {{id}}
              lease: {{lease}}
              machines: [{{string.Join(", ", ports.Select(other => $"ws://127.0.0.1:{other}"))}}]
            services:
            {{string.Concat(ManyServicesDriver.Names(services).Select(name => $"  {name}: {{ prefer: [cm-1] }}\n"))}}
            """);
        _daemon = Start("/bin/sh", "-c", $"exec '{clustd}' run --no-drivers --config '{config}' > '{Path.Combine(folder, "log")}' 2>&1");
    }

    public void StartDriver()
    {
        _driver = Start(Environment.ProcessPath!, "driver", secret, $"ws://127.0.0.1:{port}", services.ToString(CultureInfo.InvariantCulture));
        _driver.OutputDataReceived += (_, line) => Told(line.Data);
        _driver.BeginOutputReadLine();
    }

    /// <summary>Instants at which services were started here, since the last <see cref="Forget"/>, ascending.</summary>
    public IReadOnlyList<long> Starts
    {
        get
        {
            lock (_gate)
            {
                return [.. _startedAt.Values.Order()];
            }
        }
    }

    /// <summary>CPU time of the daemon and of the driver so far.</summary>
    public (TimeSpan Daemon, TimeSpan Driver) Cpu()
    {
        _daemon!.Refresh();
        _driver!.Refresh();
        return (_daemon.TotalProcessorTime, _driver.TotalProcessorTime);
    }

    public void Forget()
    {
        lock (_gate)
        {
            _startedAt.Clear();
        }
    }

    /// <summary>SIGKILL to both.</summary>
    public void Kill()
    {
        _driver?.Kill();
        _daemon?.Kill();
    }

    public void Dispose()
    {
        Kill();
        _daemon?.Dispose();
        _driver?.Dispose();
    }

    private void Told(string? line)
    {
        var now = Stopwatch.GetTimestamp();
        if (line is null || line.Length < 3)
        {
            return;
        }

        lock (_gate)
        {
            if (line[0] == '1')
            {
                _startedAt[line[2..]] = now;
            }
            else
            {
                _startedAt.Remove(line[2..]);
            }
        }
    }

    private static Process Start(string program, params string[] arguments) => Process.Start(new ProcessStartInfo(program, arguments)
    {
        RedirectStandardInput = true,
        RedirectStandardOutput = true,
    })!;
}
