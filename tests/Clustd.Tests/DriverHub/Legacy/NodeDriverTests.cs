using System.Collections.Concurrent;
using System.Diagnostics;
using Clustd.Core;
using Clustd.Tests.Client;
using Clustd.Tests.Config;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Hub.Legacy;

/// <summary>A driver in JavaScript, on Node's own sockets and cryptography, as those of 2018 are.</summary>
public sealed class NodeDriverTests
{
    [Fact]
    public async Task A_program_in_Node_is_told_to_start_and_to_stop()
    {
        Assert.SkipUnless(Environment.GetEnvironmentVariable("PATH")!.Split(':').Any(folder => File.Exists(Path.Combine(folder, "node"))), "node is not installed");
        await using var server = await HubServer.StartAsync(options => options with { LegacyDrivers = true });
        var lines = new ConcurrentQueue<string>();
        using var node = new Process
        {
            StartInfo = new ProcessStartInfo("node", [Path.Combine(ConfigTestWorld.RepositoryFolder(), "tests/Clustd.Tests/DriverHub/Legacy/driver2018.mjs"), "127.0.0.1", $"{new Uri(server.Url).Port}", HubServer.Secret, "driver-node-1"])
            {
                RedirectStandardOutput = true,
            },
        };
        node.OutputDataReceived += (_, line) => lines.Enqueue(line.Data ?? "(end)");
        node.Start().ShouldBeTrue();
        try
        {
            node.BeginOutputReadLine();
            var connection = (await server.OneAsync<Input.DriverRegistered>()).Connection;
            server.Hub.Perform(HubServer.Tell(connection, isMaster: true, token: 7, sequence: 1));
            await Eventually.HoldsAsync(() => server.All<Input.DriverAnswered>().Length == 1, () => string.Join('\n', lines));
            server.Hub.Perform(HubServer.Tell(connection, isMaster: false, token: 7, sequence: 2));
            await Eventually.HoldsAsync(() => server.All<Input.DriverAnswered>().Length == 2, () => string.Join('\n', lines));
            await server.Hub.DisposeAsync();
            await Eventually.HoldsAsync(() => lines.Contains("(end)"), () => string.Join('\n', lines));
        }
        finally
        {
            node.Kill();
        }

        lines.ShouldBe(["HTTP/1.1 101 Switching Protocols", "connected to cm-1", "trigger true", "trigger false", "closed: the daemon is stopping; connect again when it is back", "(end)"]);
    }
}
