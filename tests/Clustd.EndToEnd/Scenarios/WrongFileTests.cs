using System.Net;
using System.Net.Sockets;
using Clustd.EndToEnd.Harness;
using Shouldly;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>One machine that cannot start as it is asked to: it says what happened, why, and what to do, and ends with the promised code.</summary>
public class WrongFileTests
{
    [Fact]
    public async Task An_unknown_key_is_refused_with_its_place_and_a_suggestion()
    {
        await using var machines = One(file => file.Replace("secret:", "secert:", StringComparison.Ordinal));
        var finished = await machines.All[0].RunAsync("run");

        finished.ExitCode.ShouldBe(2);
        finished.Error.ShouldContain("config.yml:6:3: Unknown key 'secert'");
        finished.Error.ShouldContain("Did you mean 'secret'?");
    }

    [Fact]
    public async Task A_missing_secret_is_refused_with_the_command_that_makes_one()
    {
        await using var machines = One(file => Without(file, "secret:"));
        var finished = await machines.All[0].RunAsync("run");

        finished.ExitCode.ShouldBe(2);
        finished.Error.ShouldContain("'cluster.secret' is missing");
        finished.Error.ShouldContain("`clustd secret`");
    }

    [Fact]
    public async Task A_weak_secret_is_refused_where_strangers_can_reach_it()
    {
        await using var machines = One(file => file.Replace(ClusterPlan.GoodSecret, "hello", StringComparison.Ordinal).Replace("bind_address: 127.0.0.1", "bind_address: 0.0.0.0", StringComparison.Ordinal));
        var finished = await machines.All[0].RunAsync("run");

        finished.ExitCode.ShouldBe(2);
        finished.Error.ShouldContain("'cluster.secret' is too weak");
        finished.Error.ShouldContain("128 are needed because");
        finished.Error.ShouldContain("Make a good one with `clustd secret`");
        finished.Error.ShouldNotContain("hello", Case.Sensitive, "the secret itself is nobody's business");
    }

    [Fact]
    public async Task A_weak_secret_on_loopback_is_a_warning_and_it_works()
    {
        await using var machines = await Machines.StartAsync(new ClusterPlan { Count = 1, Secret = "hello" });
        machines.All[0].Log.ShouldContain("'cluster.secret' is too weak");
        machines.All[0].Log.ShouldContain(" warn ");
        (await machines.All[0].RunAsync("status")).ExitCode.ShouldBe(0);
    }

    [Fact]
    public async Task A_port_that_is_taken_is_refused_with_the_command_that_finds_out_by_whom()
    {
        await using var machines = One(file => file);
        using var other = new TcpListener(IPAddress.Loopback, machines.All[0].Port);
        other.Start();
        var finished = await machines.All[0].RunAsync("run");

        finished.ExitCode.ShouldBe(1);
        finished.Error.ShouldContain($"Cannot listen on 127.0.0.1:{machines.All[0].Port}: another program holds the port.");
        finished.Error.ShouldContain("ss -ltnp");
        finished.Error.ShouldNotContain("   at ", Case.Sensitive, "no stack trace for an operating error");
    }

    [Fact]
    public async Task A_data_directory_that_is_in_use_is_refused_and_who_uses_it_is_not_disturbed()
    {
        await using var machines = await Machines.StartAsync(new ClusterPlan { Count = 1 });
        var (machine, old) = (machines.All[0], machines.Acts.Newest()!);
        var daemon = machine.Processes().Single(process => process.Role == Role.Daemon).Pid;
        var secondFile = Path.Combine(machine.Home, "second.yml");
        File.WriteAllText(secondFile, File.ReadAllText(machine.ConfigPath).Replace($"{machine.Port}", $"{Machines.FreePorts(1)[0]}", StringComparison.Ordinal));
        var finished = await ClustdProgram.RunAsync([ClustdProgram.Path, "run", "--config", secondFile], machine.Environment);

        finished.ExitCode.ShouldBe(1);
        finished.Error.ShouldContain($"The data directory {machine.DataDirectory} is in use by pid {daemon}");
        finished.Error.ShouldContain("server.data_dir");
        (await machines.ShouldGoOnActingAsync(TimeSpan.FromSeconds(2))).ShouldSatisfyAllConditions(now => now.Token.ShouldBe(old.Token), now => now.Pid.ShouldBe(old.Pid));
    }

    [Fact]
    public async Task A_corrupt_store_is_refused_by_the_name_of_its_file()
    {
        await using var machines = await Machines.StartAsync(new ClusterPlan { Count = 1 });
        var machine = machines.All[0];
        machine.Signal(RunningProcess.SIGTERM, Role.Daemon);
        (await machine.ExitAsync()).ShouldBe(0);
        var database = Path.Combine(machine.DataDirectory, "state.db");
        var bytes = await File.ReadAllBytesAsync(database);
        bytes.Length.ShouldBeGreaterThan(4096, "what was agreed on is in the file, not only in its write-ahead log");
        // A bit in every 64 bytes behind the header: rows are hit, whatever the layout.
        for (var at = 100; at < bytes.Length; at += 64) bytes[at] ^= 1;
        await File.WriteAllBytesAsync(database, bytes);
        var finished = await machine.RunAsync("run");

        finished.ExitCode.ShouldBe(1);
        finished.Error.ShouldContain("state.db");
        finished.Error.ShouldNotContain("   at ", Case.Sensitive, "no stack trace for an operating error");
    }

    [Fact]
    public async Task A_command_without_a_daemon_ends_with_3_and_says_how_to_start_one()
    {
        await using var machines = One(file => file);
        var finished = await machines.All[0].RunAsync("status");

        finished.ExitCode.ShouldBe(3);
        finished.Error.ShouldContain("connection refused");
        finished.Error.ShouldContain("clustd run");
    }

    private static Machines One(Func<string, string> edit)
    {
        var machines = Machines.Prepare(new ClusterPlan { Count = 1 });
        machines.All[0].EditFile(edit);
        return machines;
    }

    private static string Without(string file, string key) => string.Join('\n', file.Split('\n').Where(line => !line.TrimStart().StartsWith(key, StringComparison.Ordinal)));
}
