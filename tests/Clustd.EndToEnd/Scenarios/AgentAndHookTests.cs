using System.Net;
using System.Text.Json;
using Clustd.EndToEnd.Harness;
using Shouldly;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>The app is started by a resource agent (`ocf`), whose stop may hang, and a web server is told of it (`webhook`).</summary>
public class AgentAndHookTests(AgentAndHookTests.Cluster cluster) : Scenario(cluster), IClassFixture<AgentAndHookTests.Cluster>
{
    [Fact]
    public async Task A_planned_move_is_told_as_a_stop_of_the_old_token_and_then_a_start_of_the_new_one()
    {
        await Machines.MoveSomewhereAsync(); // Whoever it leaves may take over at once: nobody has to cool down.
        var old = Machines.Acts.Newest()!;
        await Machines.MoveSomewhereAsync();
        var next = Machines.Acts.Newest()!;
        await Eventually.IsTrue(() => Cluster.Told().Contains($"service.start {next.Token} {next.Machine}"), "the start is told");
        Cluster.Told().SkipWhile(told => told != $"service.start {old.Token} {old.Machine}").ShouldBe(
            [$"service.start {old.Token} {old.Machine}", $"service.stop {old.Token} {old.Machine}", $"service.start {next.Token} {next.Machine}"]);
        Machines.Acts.ShouldNeverOverlap();
    }

    // Two masters. Wrong program: leaves it to the agent to end what the agent has started.
    [Fact]
    public async Task What_an_agent_has_started_is_dead_when_another_machine_starts_although_its_stop_hangs()
    {
        var (old, master) = (Machines.Acts.Newest()!, Machines.Master);
        Cluster.LetStopsHang();
        try
        {
            master.Signal(RunningProcess.SIGSTOP, Role.Daemon);
            var next = await Machines.NextTenureAsync(old);
            next.Machine.ShouldNotBe(master.Id);
            await Machines.ShouldGoOnActingAsync(TimeSpan.FromSeconds(2));
            Machines.Acts.ShouldNeverOverlap();
        }
        finally
        {
            Cluster.LetStopsWork();
        }

        master.Signal(RunningProcess.SIGCONT, Role.Daemon);
        await Machines.MakeHealthyAsync();
        await Eventually.IsTrue(() => Cluster.Told().Contains($"service.stop {old.Token} {old.Machine}"), "the late stop is told");
        Machines.Acts.ShouldNeverOverlap();
    }

    [Fact]
    public async Task What_an_agent_has_started_dies_with_the_driver_process_and_the_next_one_starts_it_again()
    {
        var (old, master, before) = (Machines.Acts.Newest()!, Machines.Master, Cluster.Told().Count);
        master.Signal(RunningProcess.SIGKILL, Role.Drivers);
        // Under the same token here, or under a newer one elsewhere: whoever is first.
        await Eventually.IsTrue(() => Cluster.Told().Skip(before).Any(told => told.StartsWith("service.start", StringComparison.Ordinal)), "a start is told");
        Cluster.Told()[before].ShouldBe($"service.stop {old.Token} {old.Machine}");
        await Machines.ShouldGoOnActingAsync(TimeSpan.FromSeconds(1));
        await Machines.MakeHealthyAsync();
        Machines.Acts.ShouldNeverOverlap();
    }

    public sealed class Cluster : SharedCluster
    {
        private static readonly string Root = Directory.CreateTempSubdirectory("clustd-e2e-ocf-").FullName;
        private static readonly string Agent = WriteAgent();
        private static readonly List<string> Heard = [];
        private static readonly int Port = Listen();

        protected override ClusterPlan Plan => new()
        {
            Rest = $$"""
                services: { default: {} }
                drivers:
                  - ocf: { agent: 'ocf:tests:Acts', unlisted: true, root: {{Root}}, monitor: 1s, order: 1 }
                  - webhook: { url: 'http://127.0.0.1:{{Port}}/', secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', order: 2 }

                """,
        };

        /// <summary>What the receiver was told, in order: type, token, machine.</summary>
        public static IReadOnlyList<string> Told()
        {
            lock (Heard) return [.. Heard];
        }

        public static void LetStopsHang() => File.WriteAllText(Agent + ".hangs", "");

        public static void LetStopsWork() => File.Delete(Agent + ".hangs");

        // Puts the app into the background, in a session of its own, as a daemon does.
        private static string WriteAgent()
        {
            var path = Path.Combine(Root, "resource.d", "tests", "Acts");
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllText(path, $$"""
                #!/bin/bash
                state=$E2E_MACHINE/agent.pid
                case $1 in
                    start) setsid bash {{ClusterPlan.ActsScript}} > /dev/null 2>&1 & echo $! > "$state" ;;
                    stop) [ ! -e "$0.hangs" ] || exec sleep 1000
                          [ ! -e "$state" ] || kill -9 "$(cat "$state")" 2> /dev/null
                          rm -f "$state" ;;
                    monitor) [ -e "$state" ] && kill -0 "$(cat "$state")" 2> /dev/null || exit 7 ;;
                    meta-data) echo '<resource-agent name="Acts"><parameters/></resource-agent>' ;;
                    *) exit 3 ;;
                esac
                """);
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            return path;
        }

        private static int Listen()
        {
            var port = Machines.FreePorts(1).Single();
            var listener = new HttpListener { Prefixes = { $"http://127.0.0.1:{port}/" } };
            listener.Start();
            _ = Task.Run(async () =>
            {
                while (true)
                {
                    var context = await listener.GetContextAsync();
                    using var body = await JsonDocument.ParseAsync(context.Request.InputStream);
                    var told = body.RootElement;
                    lock (Heard) Heard.Add($"{told.GetProperty("type").GetString()} {told.GetProperty("token").GetInt64()} {told.GetProperty("machine").GetString()}");
                    context.Response.StatusCode = 204;
                    context.Response.Close();
                }
            });
            return port;
        }
    }
}
