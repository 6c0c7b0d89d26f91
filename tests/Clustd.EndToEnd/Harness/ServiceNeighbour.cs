using System.Diagnostics;
using System.Text.Json;

namespace Clustd.EndToEnd.Harness;

/// <summary>What a webhook's receiver saw before it answered. At: µs of CLOCK_MONOTONIC; Name: what the name server said then; Holders: the namespaces that had the address then.</summary>
public sealed record Told(long At, bool IsMaster, long Token, string Machine, string Name, IReadOnlyList<string> Holders);

/// <summary>A host beside the machines with a real BIND 9 and a receiver of webhooks, in a namespace of its own.</summary>
public sealed class ServiceNeighbour : IDisposable
{
    public const string Record = "www.example.test", Secret = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ=";

    private const int WebhookPort = 8080;
    private readonly List<Process> _processes = [];
    private readonly NamespacedNetwork _network;
    private readonly string _folder, _file;
    private readonly int _number;

    public ServiceNeighbour(NamespacedNetwork network, int number, IEnumerable<int> machines, string address)
    {
        (_network, _number) = (network, number);
        _folder = Directory.CreateTempSubdirectory($"{Leftovers.Prefix}neighbour-").FullName;
        _file = Path.Combine(_folder, "told.jsonl");
        File.WriteAllText(Path.Combine(_folder, "zone.db"), "$TTL 300\n@ SOA ns1 admin 1 3600 600 86400 60\n@ NS ns1\nns1 A 127.0.0.1\n");
        File.WriteAllText(Path.Combine(_folder, "named.conf"), $$"""
            options { directory "{{_folder}}"; pid-file "named.pid"; session-keyfile "session.key"; lock-file none; listen-on { any; }; listen-on-v6 { none; }; recursion no; dnssec-validation no; };
            controls { };
            key clustd { algorithm hmac-sha256; secret "{{Secret}}"; };
            zone "example.test" { type primary; file "zone.db"; notify no; update-policy { grant clustd zonesub A AAAA CNAME TXT; }; };
            """);
        Start(NameServer!, "-g", "-n", "1", "-c", Path.Combine(_folder, "named.conf"));
        Start("python3", [Path.Combine(AppContext.BaseDirectory, "neighbour.py"), $"{WebhookPort}", _file, Record, .. machines.Select(each => $"{network.NameOf(each)}={address}")]);
    }

    /// <summary>Why this cannot be had here; null: it can.</summary>
    public static string? WhyNot() => NamespacedNetwork.WhyNot() ?? (NameServer is null ? "needs BIND 9 (Debian's bind9)" : null);

    public IReadOnlyList<Told> All => File.Exists(_file) ? [.. File.ReadAllLines(_file).Where(line => line.EndsWith('}')).Select(Read)] : [];

    /// <summary>The name server is closed to this machine, and says so.</summary>
    public void Refuse(string address)
    {
        _network.In(_number, "nft", "add", "table", "inet", "closed");
        _network.In(_number, "nft", "add", "chain", "inet", "closed", "in", "{ type filter hook input priority 0; }");
        foreach (var protocol in (string[])["tcp", "udp"]) _network.In(_number, "nft", "add", "rule", "inet", "closed", "in", "ip", "saddr", address, protocol, "dport", "53", "reject");
    }

    public void RefuseNobody() => _network.In(_number, "nft", "delete", "table", "inet", "closed");

    public void Dispose()
    {
        foreach (var process in _processes)
        {
            if (!process.HasExited) process.Kill();
            process.WaitForExit();
            process.Dispose();
        }

        Directory.Delete(_folder, recursive: true);
    }

    private static string? NameServer => new[] { "/usr/sbin/named", "/usr/local/sbin/named", "/usr/bin/named" }.FirstOrDefault(File.Exists);

    private static Told Read(string line)
    {
        using var json = JsonDocument.Parse(line);
        var (seen, body) = (json.RootElement, json.RootElement.GetProperty("body"));
        return new Told(seen.GetProperty("at").GetInt64(), body.GetProperty("isMaster").GetBoolean(), body.GetProperty("token").GetInt64(), body.GetProperty("machine").GetString()!,
            seen.GetProperty("name").GetString()!, [.. seen.GetProperty("holders").EnumerateArray().Select(each => each.GetString()!)]);
    }

    // `ip netns exec` becomes the program itself, so its end is the program's.
    private void Start(string program, params string[] arguments)
    {
        var process = Process.Start(new ProcessStartInfo("ip", ["netns", "exec", _network.NameOf(_number), program, .. arguments]) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        process.ErrorDataReceived += (_, _) => { };
        process.OutputDataReceived += (_, _) => { };
        process.BeginErrorReadLine();
        process.BeginOutputReadLine();
        _processes.Add(process);
    }
}
