using System.Diagnostics;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Clustd.Drivers.Docker;
using Clustd.Drivers.Holding;
using Xunit;

namespace Clustd.Tests.Drivers.Docker;

/// <summary>
/// The real Podman, with storage of its own, an image that is made of this machine's own sleep and sh, and containers without a network. In a mount namespace with cgroups of version 2 alone, because its runtime refuses both at once.
/// </summary>
public sealed class RealPodman : IAsyncLifetime
{
    private readonly string _directory = Directory.CreateTempSubdirectory("clustd-podman-").FullName;
    private readonly List<string> _containers = [];
    private Process? _podman;
    private HttpClient? _http;
    private string? _cgroup;

    /// <summary>Null: it runs.</summary>
    public string? WhyNot { get; private set; }

    public string Socket => Path.Combine(_directory, "podman.sock");

    public int Pid => _podman!.Id;

    public async ValueTask InitializeAsync()
    {
        WhyNot = !Environment.IsPrivilegedProcess ? "Podman with cgroups needs root"
            : !File.Exists("/usr/bin/podman") ? "Podman is not there: install podman"
            : Mount() is null ? "there is no cgroup2 file system here"
            : null;
        if (WhyNot is not null) return;
        await File.WriteAllTextAsync(Path.Combine(_directory, "containers.conf"), "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1000:1000\"]\npids_limit = 0\n");
        // A cgroup of its own, as the root of a namespace: Podman moves what it finds in the root elsewhere, and what it starts must be found again at the end.
        _cgroup = $"{Mount()}/clustd-podman-{Environment.ProcessId}";
        Directory.CreateDirectory(_cgroup);
        _podman = Process.Start(new ProcessStartInfo("unshare",
            ["--mount", "--propagation", "private", "/bin/sh", "-c", """
            echo $$ > "$0/cgroup.procs" && exec unshare --cgroup /bin/sh -c 'mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"' podman "$@"
            """, _cgroup, "podman", "--root", $"{_directory}/root", "--runroot", $"{_directory}/runroot", "--tmpdir", $"{_directory}/tmp", "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs",
            "system", "service", "--time", "0", $"unix://{Socket}"])
        {
            Environment = { ["CONTAINERS_CONF"] = $"{_directory}/containers.conf" }, RedirectStandardError = true, RedirectStandardOutput = true,
        })!;
        _podman.ErrorDataReceived += (_, _) => { };
        _podman.BeginErrorReadLine();
        _http = new HttpClient(new SocketsHttpHandler
        {
            ConnectCallback = async (_, cancellationToken) =>
            {
                var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(Socket), cancellationToken);
                return new NetworkStream(socket, ownsSocket: true);
            },
        }) { BaseAddress = new Uri("http://podman") };
        try
        {
            await MakeImageAsync();
            await CreateAsync("trial", "/bin/sleep", "1000");
            using var engine = new Engine(Socket);
            await engine.StartAsync("trial", default);
            await engine.StopAsync("trial", TimeSpan.Zero, default);
        }
        catch (Exception e)
        {
            WhyNot = $"Podman does not run containers here: {e.Message}";
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (string container in _containers) await RemoveAsync(container);
        if (_cgroup is not null)
        {
            await Scratch.Eventually(() => Cgroup.At(_cgroup) is not { } left || (left.Kill() is null && left.IsEmpty), "the end of Podman");
            foreach (string each in Directory.GetDirectories(_cgroup, "*", SearchOption.AllDirectories).OrderByDescending(path => path.Length)) Directory.Delete(each);
            Directory.Delete(_cgroup);
        }
        _podman?.Dispose();
        _http?.Dispose();
        // What a container has mounted is gone with it; its last cleaning process may still be at it.
        for (int i = 0; i < 100 && Directory.Exists(_directory); i++)
        {
            try
            {
                Directory.Delete(_directory, recursive: true);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                await Task.Delay(50);
            }
        }
    }

    /// <summary>As `podman create` does.</summary>
    public async Task CreateAsync(string name, params string[] command) => await CreateAsync(name, "no", false, command);

    public async Task CreateAsync(string name, string restart, bool autoRemove, params string[] command)
    {
        await RemoveAsync(name);
        var settings = new JsonObject
        {
            ["Image"] = "clustd-test",
            ["Cmd"] = new JsonArray([.. command.Select(each => (JsonNode)each)]),
            ["HostConfig"] = new JsonObject { ["NetworkMode"] = "none", ["Privileged"] = true, ["AutoRemove"] = autoRemove, ["RestartPolicy"] = new JsonObject { ["Name"] = restart } },
        };
        var body = new StringContent(settings.ToJsonString(), new MediaTypeHeaderValue("application/json"));
        using var answer = await _http!.PostAsync($"/v1.41/containers/create?name={name}", body);
        if (!answer.IsSuccessStatusCode) throw new IOException(await answer.Content.ReadAsStringAsync());
        _containers.Add(name);
    }

    internal async Task<ContainerState> LookAsync(string name)
    {
        using var engine = new Engine(Socket);
        return await engine.InspectAsync(name, default) ?? throw new IOException($"there is no {name}");
    }

    /// <summary>As somebody with `podman` does.</summary>
    internal async Task SomebodyAsync(Func<Engine, Task> does)
    {
        using var engine = new Engine(Socket);
        await does(engine);
    }

    internal async Task<Cgroup> CgroupAsync(string name) => Cgroup.Of((await LookAsync(name)).State.Pid) ?? throw new IOException($"{name} has no cgroup");

    private static string? Mount() => File.ReadLines("/proc/self/mountinfo").FirstOrDefault(line => line.Contains(" - cgroup2 ", StringComparison.Ordinal))?.Split(' ')[4];

    private async Task RemoveAsync(string name)
    {
        try
        {
            using var answer = await _http!.DeleteAsync($"/v1.41/containers/{name}?force=true");
        }
        catch (HttpRequestException)
        {
            // Podman itself has not started.
        }
    }

    private async Task MakeImageAsync()
    {
        string root = Path.Combine(_directory, "image");
        // What they need beside themselves, as ldd says it.
        using var copy = Process.Start("/bin/sh", ["-c", """
            for program in /bin/sleep /bin/sh; do
              mkdir -p "$0/bin" && cp -L $program "$0/bin/"
              ldd $program | grep -o '/[^ ]*' | while read -r library; do mkdir -p "$0$(dirname "$library")" && cp -L "$library" "$0$library"; done
            done
            tar -C "$0" -cf "$0.tar" .
            """, root]);
        await copy.WaitForExitAsync();
        for (int i = 0; i < 200 && !File.Exists(Socket); i++) await Task.Delay(50);
        await using var tar = File.OpenRead(root + ".tar");
        using var answer = await _http!.PostAsync("/v1.41/images/create?fromSrc=-&repo=clustd-test", new StreamContent(tar) { Headers = { ContentType = new MediaTypeHeaderValue("application/x-tar") } });
        if (!answer.IsSuccessStatusCode) throw new IOException(await answer.Content.ReadAsStringAsync());
    }
}
