using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Clustd.Drivers.Dns;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Drivers.Dns;

/// <summary>A real BIND 9 on a port of loopback, with the zone example.test and the keys that a test needs.</summary>
internal sealed class NameServer : IAsyncDisposable
{
    public const string Zone = "example.test", KeyName = "clustd", Secret = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ=";

    private readonly Process _process;
    private readonly string _folder;

    private NameServer(Process process, string folder, int port) => (_process, _folder, Port) = (process, folder, port);

    public int Port { get; }

    public DnsServer Address => new("127.0.0.1", Port);

    private static string? Program => new[] { "/usr/sbin/named", "/usr/local/sbin/named", "/usr/bin/named" }.FirstOrDefault(File.Exists);

    public static Task<NameServer> StartPrimaryAsync(string algorithm = "hmac-sha256", int? notify = null, string policy = $"grant {KeyName} zonesub A AAAA CNAME TXT;", int port = 0) => StartAsync(port, $$"""
        key {{KeyName}} { algorithm {{algorithm}}; secret "{{Secret}}"; };
        key other { algorithm {{algorithm}}; secret "{{Secret}}"; };
        zone "{{Zone}}" {
          type primary; file "zone.db"; update-policy { {{policy}} };
          {{(notify is { } to ? $"notify explicit; notify-delay 0; also-notify {{ 127.0.0.1 port {to}; }};" : "notify no;")}}
        };
        zone "fixed.test" { type primary; file "fixed.db"; };
        """);

    public static Task<NameServer> StartSecondaryAsync(int port, int primary) => StartAsync(port, $$"""
        zone "{{Zone}}" { type secondary; file "copy.db"; primaries { 127.0.0.1 port {{primary}}; }; };
        """);

    private static async Task<NameServer> StartAsync(int port, string zones)
    {
        Assert.SkipUnless(Program is not null, "BIND 9 is not there: install bind9");
        string folder = Directory.CreateTempSubdirectory("clustd-named-").FullName;
        for (int trial = 1; ; trial++)
        {
            int taken = port == 0 ? FreePort() : port;
            await File.WriteAllTextAsync(Path.Combine(folder, "zone.db"), $"""
                $TTL 300
                @ SOA ns1 admin 1 3600 600 86400 60
                @ NS ns1
                ns1 A 127.0.0.1
                mail MX 10 ns1
                *.wild TXT "v=spf1 -all"
                """ + "\n", TestContext.Current.CancellationToken);
            await File.WriteAllTextAsync(Path.Combine(folder, "fixed.db"), "$TTL 300\n@ SOA ns1 admin 1 3600 600 86400 60\n@ NS ns1\nns1 A 127.0.0.1\n", TestContext.Current.CancellationToken);
            await File.WriteAllTextAsync(Path.Combine(folder, "named.conf"), $$"""
                options {
                  directory "{{folder}}"; pid-file "named.pid"; session-keyfile "session.key"; lock-file none;
                  listen-on port {{taken}} { 127.0.0.1; }; listen-on-v6 { none; };
                  recursion no; dnssec-validation no; allow-transfer { any; }; tcp-clients 50;
                };
                controls { };
                {{zones}}
                """, TestContext.Current.CancellationToken);
            var start = new ProcessStartInfo(Program!, ["-g", "-n", "1", "-c", Path.Combine(folder, "named.conf")]) { RedirectStandardError = true, RedirectStandardOutput = true };
            var process = Process.Start(start)!;
            var log = new List<string>();
            process.ErrorDataReceived += (_, line) => { lock (log) log.Add(line.Data ?? ""); };
            process.BeginErrorReadLine();
            process.BeginOutputReadLine();
            var server = new NameServer(process, folder, taken);
            if (await server.IsUpAsync()) return server;
            // Somebody else has taken the port meanwhile.
            if (!process.HasExited) process.Kill();
            if (trial == 3) lock (log) Assert.Fail($"named does not run:\n{string.Join("\n", log.TakeLast(15))}");
        }
    }

    /// <summary>Stopped without a word, as SIGSTOP does it: packets are taken and not answered.</summary>
    public void Freeze() => Scratch.Signal(_process.Id, 19);

    public void Thaw() => Scratch.Signal(_process.Id, 18);

    /// <summary>What the server itself has.</summary>
    public async Task<NameState> ReadAsync(string record)
    {
        var place = new NamePlace(new DnsDriverOptions { Record = record, Server = Address, Zone = Zone }, TimeProvider.System);
        return await place.ReadAsync(place.Primary, TestContext.Current.CancellationToken);
    }

    public async Task<string> ShowAsync(string record) => WantedRecords.Show((await ReadAsync(record)).Found);

    /// <summary>An update by somebody who has the key and does not look at the fence.</summary>
    public async Task UpdateAsync(params IReadOnlyList<DnsRecord> updates)
    {
        var exchange = new DnsExchange(Address, Key("hmac-sha256"), tcpOnly: true, TimeProvider.System);
        DnsMessage answer = await exchange.AskAsync(DnsMessage.Update(DnsExchange.NewId(), Name(Zone), [], updates), TestContext.Current.CancellationToken);
        answer.Code.ShouldBe(DnsCode.NoError);
    }

    public static DnsName Name(string text) => DnsName.Parse(text, out _).ShouldNotBeNull();

    public static TsigKey Key(string algorithm) => new(Name(KeyName), algorithm, Convert.FromBase64String(Secret));

    public static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited) _process.Kill();
        await _process.WaitForExitAsync();
        _process.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private async Task<bool> IsUpAsync()
    {
        for (var deadline = DateTime.UtcNow.AddSeconds(30); DateTime.UtcNow < deadline && !_process.HasExited; await Task.Delay(50))
        {
            try
            {
                using var client = new TcpClient();
                await client.ConnectAsync(IPAddress.Loopback, Port, TestContext.Current.CancellationToken);
                return true;
            }
            catch (SocketException)
            {
                // Not yet.
            }
        }
        return false;
    }
}
