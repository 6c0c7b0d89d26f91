using System.Diagnostics;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using Clustd.Http;

namespace Clustd.EndToEnd.Harness;

/// <summary>One machine: a directory with a file, a daemon, and whatever comes of that.</summary>
public sealed class Machine : IDisposable
{
    private readonly HttpClient _client;
    private readonly string _secret;
    private Process? _daemon;

    public Machine(string id, string directory, string address, int port, string secret, ActObserver acts, string? networkNamespace = null)
    {
        (Id, Home, Address, Port, Namespace, _secret) = (id, directory, address, port, networkNamespace, secret);
        Directory.CreateDirectory(directory);
        Environment = new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            [RunningProcess.Mark] = directory,
            ["E2E_ACTS"] = acts.Pipe,
            ["E2E_PAUSE"] = acts.Pause,
            ["STATE_DIRECTORY"] = DataDirectory, // as systemd does; the files of 2018 name none
        };
        var handler = new SocketsHttpHandler { UseProxy = false };
        if (networkNamespace is not null)
            handler.ConnectCallback = async (context, cancellationToken) => await NamespaceSocket.ConnectAsync(networkNamespace, context.DnsEndPoint, cancellationToken);
        _client = new HttpClient(handler) { BaseAddress = new Uri($"http://127.0.0.1:{port}"), Timeout = TimeSpan.FromSeconds(5) };
        _client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", ApiToken.Derive(secret));
    }

    public string Id { get; }

    /// <summary>Holds all files of this machine.</summary>
    public string Home { get; }

    /// <summary>Host part of what the others dial.</summary>
    public string Address { get; }

    public int Port { get; }

    /// <summary>Null: this machine is on loopback.</summary>
    public string? Namespace { get; }

    public SortedDictionary<string, string> Environment { get; }

    /// <summary>For the daemon, and what it starts, in addition.</summary>
    public SortedDictionary<string, string> DaemonEnvironment { get; } = new(StringComparer.Ordinal);

    /// <summary>Behind <c>clustd run --config FILE</c>.</summary>
    public IReadOnlyList<string> RunOptions { get; set; } = [];

    /// <summary>What is installed there: the next start is of this program.</summary>
    public string Program { get; set; } = ClustdProgram.Path;

    public string DataDirectory => Path.Combine(Home, "data");

    public string ConfigPath => Path.Combine(Home, "config.yml");

    public string Log => File.Exists(LogPath) ? File.ReadAllText(LogPath) : "";

    public bool IsDaemonRunning => _daemon is { HasExited: false };

    private string LogPath => Path.Combine(Home, "log");

    public void EditFile(Func<string, string> edit) => File.WriteAllText(ConfigPath, edit(File.ReadAllText(ConfigPath)));

    /// <summary>Starts the daemon; its words go to the log.</summary>
    public void Start()
    {
        // The shell is replaced by the daemon: the pid is the daemon's, and its driver process inherits the log, not a pipe to us.
        string[] command = ["/bin/sh", "-c", "exec \"$@\" >>\"$E2E_LOG\" 2>&1 </dev/null", "sh", .. InNamespace([Program, "run", "--config", ConfigPath, .. RunOptions])];
        var environment = new Dictionary<string, string>(Environment) { ["E2E_LOG"] = LogPath };
        foreach (var (name, value) in DaemonEnvironment) environment[name] = value;
        // The one before is left to the collector: somebody may be asking it whether it runs.
        _daemon = Process.Start(ClustdProgram.StartInfo(command, environment))!;
    }

    /// <summary>The daemon's exit code, once it has ended.</summary>
    public async Task<int> ExitAsync(TimeSpan? patience = null)
    {
        await _daemon!.WaitForExitAsync().WaitAsync(patience ?? Eventually.Patience);
        return _daemon.ExitCode;
    }

    public IReadOnlyList<RunningProcess> Processes() => RunningProcess.MarkedWith(Home);

    public bool Has(Role role) => Processes().Any(process => process.Role == role);

    /// <summary>Sends a signal to all processes of these roles at once, nearly; of all roles if none is named. Returns the instant, µs.</summary>
    public long Signal(int signal, params Role[] roles)
    {
        var targets = Processes().Where(process => roles.Length == 0 || roles.Contains(process.Role)).ToList();
        var at = ActObserver.Now;
        foreach (var target in targets) target.Signal(signal);
        return at;
    }

    /// <summary>Kills processes of these roles so that none of them lives to notice the end of another one: they are frozen first.</summary>
    public long KillAtOnce(params Role[] roles)
    {
        var at = Signal(RunningProcess.SIGSTOP, roles);
        Signal(RunningProcess.SIGKILL, roles);
        return at;
    }

    /// <summary>Thaws all processes, the app first and those that would kill it last: the worst order there is.</summary>
    public long Thaw()
    {
        var at = ActObserver.Now;
        foreach (var process in Processes().OrderByDescending(process => process.Role)) process.Signal(RunningProcess.SIGCONT);
        return at;
    }

    /// <summary>As if the power was cut: nothing of this machine is left, and nothing of it had the time to notice.</summary>
    public long KillEverything()
    {
        var at = Signal(RunningProcess.SIGSTOP);
        while (Processes() is { Count: > 0 } left)
        {
            foreach (var process in left) process.Signal(RunningProcess.SIGKILL);
            Thread.Sleep(1);
        }

        return at;
    }

    /// <summary>A command of clustd on this machine.</summary>
    public Task<Finished> RunAsync(params string[] arguments) =>
        ClustdProgram.RunAsync(InNamespace([Program, arguments[0], "--config", ConfigPath, .. arguments[1..]]), Environment);

    /// <summary>What the daemon says, or null while it does not answer.</summary>
    public async Task<Status?> StatusAsync()
    {
        if (!IsDaemonRunning) return null;
        return await GetAsync("/v1/status?consistency=local") is { } json ? new Status(json) : null; // many times a second
    }

    /// <summary>GET of the API, or null while the daemon does not answer.</summary>
    public async Task<JsonElement?> GetAsync(string path)
    {
        try
        {
            return await _client.GetFromJsonAsync<JsonElement>(path);
        }
        catch (Exception e) when (IsLost(e) || e is JsonException)
        {
            return null;
        }
    }

    /// <summary>GET of the API, whatever it answers with; status 0 while the daemon does not answer.</summary>
    public async Task<(int Status, JsonElement? Body)> TryGetAsync(string path)
    {
        try
        {
            using var answer = await _client.GetAsync(path);
            return ((int)answer.StatusCode, JsonElement.Parse(await answer.Content.ReadAsStringAsync()));
        }
        catch (Exception e) when (e is HttpRequestException or TaskCanceledException or JsonException)
        {
            return (0, null);
        }
    }

    /// <summary>What the cluster decided after this index, as this machine knows it.</summary>
    public async Task<IReadOnlyList<(long Index, string Kind)>> EventsAsync(long since)
    {
        var answer = await _client.GetFromJsonAsync<JsonElement>($"/v1/events?since={since}");
        return [.. answer.GetProperty("events").EnumerateArray().Select(each => (each.GetProperty("index").GetInt64(), each.GetProperty("kind").GetString()!))];
    }

    /// <summary>POST to the API; true when it was done.</summary>
    public async Task<bool> AskAsync(string path, string json)
    {
        try
        {
            using var answer = await _client.PostAsync(path, new StringContent(json, new MediaTypeHeaderValue("application/json")));
            return answer.IsSuccessStatusCode;
        }
        catch (Exception e) when (IsLost(e))
        {
            return false;
        }
    }

    public void Dispose()
    {
        _client.Dispose();
        _daemon?.Dispose();
    }

    // SocketException: HttpClient asks a connection of ours where it leads, and lets the error through if the other side has closed it by then.
    private static bool IsLost(Exception e) => e is HttpRequestException or TaskCanceledException or System.Net.Sockets.SocketException;

    private string[] InNamespace(params string[] command) => Namespace is { } name ? ["ip", "netns", "exec", name, .. command] : command;
}

/// <summary><c>clustd status -o json</c>, read by its documented names and not by clustd's own types.</summary>
public sealed class Status(JsonElement json)
{
    public bool IsKnown => json.GetProperty("isKnown").GetBoolean();

    /// <summary>Codes of what a person should see to.</summary>
    public IReadOnlyList<string> Warnings => [.. json.GetProperty("warnings").EnumerateArray().Select(warning => warning.GetProperty("code").GetString()!)];

    public string? Leader => json.GetProperty("leader").GetString();

    public int Voters => json.GetProperty("quorum").GetProperty("voters").GetInt32();

    /// <summary>Ids of the machines with a session.</summary>
    public IReadOnlyList<string> Alive => [.. json.GetProperty("machines").EnumerateArray().Where(machine => machine.GetProperty("state").GetString() == "alive").Select(machine => machine.GetProperty("id").GetString()!)];

    public bool HasDriver(string name) => json.GetProperty("drivers").EnumerateArray().Any(driver => driver.GetProperty("name").GetString() == name && driver.GetProperty("connected").GetBoolean());

    public IReadOnlyList<string> Drivers => [.. json.GetProperty("drivers").EnumerateArray().Where(driver => driver.GetProperty("connected").GetBoolean()).Select(driver => driver.GetProperty("name").GetString()!)];

    public long LeaseMs => json.GetProperty("leaseMs").GetInt64();

    /// <summary>How many services are in this state.</summary>
    public int CountOf(string state) => json.GetProperty("services").EnumerateArray().Count(service => service.GetProperty("state").GetString() == state);

    public (string? Master, long? Token, string State) Service(string name = "default")
    {
        foreach (var service in json.GetProperty("services").EnumerateArray().Where(service => service.GetProperty("name").GetString() == name))
        {
            var token = service.GetProperty("token");
            return (service.GetProperty("master").GetString(), token.ValueKind == JsonValueKind.Number ? token.GetInt64() : null, service.GetProperty("state").GetString()!);
        }

        return (null, null, "none");
    }

    public override string ToString() => json.ToString();
}
