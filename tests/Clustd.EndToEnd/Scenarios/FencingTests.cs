using Clustd.EndToEnd.Harness;
using Shouldly;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>`fencing: required`: nothing starts elsewhere before a fence agent has confirmed that the lost machine is off.</summary>
public class FencingTests(FencingTests.Cluster cluster) : Scenario(cluster), IClassFixture<FencingTests.Cluster>
{
    [Fact] // Wrong program: starts when lease and kill_timeout are over, and fences beside that or never.
    public async Task A_lost_master_is_turned_off_before_its_service_starts_elsewhere()
    {
        Cluster.Repair();
        var (old, lost) = (Machines.Acts.Newest()!, Machines.Master);
        var before = Cluster.Calls().Count;
        lost.KillEverything();
        var next = await Machines.NextTenureAsync(old);

        next.Machine.ShouldNotBe(lost.Id);
        var calls = Cluster.Calls().Skip(before).Where(call => !call.StartsWith("monitor", StringComparison.Ordinal)).ToList();
        calls.ShouldContain($"off {lost.Id}");
        calls.ShouldContain($"status {lost.Id}");
        calls.ShouldAllBe(call => call.EndsWith(lost.Id, StringComparison.Ordinal), "nobody else was lost");
        Machines.Acts.ShouldNeverOverlap();
    }

    [Fact] // Wrong program: gives up waiting after a while.
    public async Task While_no_agent_confirms_it_nobody_starts_and_an_operator_who_knows_may_say_so()
    {
        var (old, lost) = (Machines.Acts.Newest()!, Machines.Master);
        var standby = Machines.Standbys[0];
        (await standby.RunAsync("machine", "confirm-off", lost.Id)).ExitCode.ShouldBe(1, "it holds a session");
        Cluster.Break();
        var since = (await standby.EventsAsync(0)).Select(happened => happened.Index).DefaultIfEmpty().Max();
        lost.KillEverything();
        await Eventually.IsTrue(async () => (await standby.EventsAsync(since)).Count(happened => happened.Kind == "failed") >= 2, "both standbys have tried to fence it", TimeSpan.FromSeconds(60));
        Machines.Acts.Newest()!.Token.ShouldBe(old.Token, "nobody has started");

        var said = await standby.RunAsync("machine", "confirm-off", lost.Id);
        said.ExitCode.ShouldBe(0, said.Error);
        await Eventually.Gives(() => Machines.Acts.Newest() is { } newest && newest.Token > old.Token ? newest : null, "the service runs again", TimeSpan.FromSeconds(90));
        Machines.Acts.ShouldNeverOverlap();
    }

    [Fact] // Wrong program: turns off a machine that has handed over.
    public async Task A_planned_move_turns_nobody_off()
    {
        Cluster.Repair();
        var before = Cluster.Calls().Count(call => call.StartsWith("off", StringComparison.Ordinal));
        await Machines.MoveSomewhereAsync();
        Cluster.Calls().Count(call => call.StartsWith("off", StringComparison.Ordinal)).ShouldBe(before);
    }

    public sealed class Cluster : SharedCluster
    {
        private static readonly string Folder = Directory.CreateTempSubdirectory("clustd-e2e-fence-").FullName;

        private static readonly string Agent = WriteAgent();

        protected override ClusterPlan Plan => new()
        {
            Rest = $$"""
                services:
                  default: { fencing: required, start_timeout: 2s }
                {{ClusterPlan.SupervisedApp}}{{string.Concat(Enumerable.Range(1, 3).Select(each => $"  - fence: {{ name: fence-{each}, machine: cm-{each}, agent: {Agent}, options: {{ plug: cm-{each} }}, order: 10 }}\n"))}}
                """,
        };

        public static IReadOnlyList<string> Calls() => File.Exists(Agent + ".calls") ? File.ReadAllLines(Agent + ".calls") : [];

        public static void Break() => File.WriteAllText(Agent + ".broken", "");

        public static void Repair() => File.Delete(Agent + ".broken");

        // A power switch that remembers whom it has turned off, and may be out of order.
        private static string WriteAgent()
        {
            var path = Path.Combine(Folder, "fence_test");
            File.WriteAllText(path, """
                #!/bin/bash
                while IFS='=' read -r key value; do declare "$key=$value"; done
                echo "$action $plug" >> "$0.calls"
                [ ! -e "$0.broken" ] || { echo "the power switch does not answer"; exit 1; }
                case $action in
                    off) touch "$0.off.$plug" ;;
                    status) [ ! -e "$0.off.$plug" ] || exit 2 ;;
                esac
                """);
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            return path;
        }
    }
}
