using Clustd.Config;
using FsCheck.Xunit;
using Shouldly;
using Xunit;
using static Clustd.Tests.Config.ConfigTestWorld;

namespace Clustd.Tests.Config;

/// <summary>The small parts: durations, addresses, secrets, hashes, variables, sentences, the file of `init`.</summary>
public sealed class ConfigPartsTests
{
    [Theory]
    [InlineData("1s", 1000)]
    [InlineData("500ms", 500)]
    [InlineData("1.5s", 1500)]
    [InlineData("2m", 120_000)]
    [InlineData("1h", 3_600_000)]
    [InlineData(" 3 s ", 3000)]
    [InlineData("0.5ms", 0.5)]
    public void Durations_are_read(string text, double ms) => ConfigDuration.Parse(text, out _).ShouldBe(TimeSpan.FromMilliseconds(ms));

    [Theory]
    [InlineData("")]
    [InlineData("s")]
    [InlineData("1")]
    [InlineData("-1s")]
    [InlineData("1d")]
    [InlineData("1,5s")]
    [InlineData("1.5.0s")]
    [InlineData("1e3s")]
    [InlineData("99999999999999999999s")]
    public void What_is_no_duration_is_refused(string text) => ConfigDuration.Parse(text, out _).ShouldBeNull();

    [Property]
    public void A_duration_reads_back_as_it_was_written(uint ms)
    {
        var duration = TimeSpan.FromMilliseconds(ms % 360_000_000);
        ConfigDuration.Parse(ConfigDuration.Text(duration), out _).ShouldBe(duration);
    }

    [Theory]
    [InlineData("ws://10.0.0.1:3001", "10.0.0.1:3001")]
    [InlineData("wss://Node-1.Example.org.:443/", "node-1.example.org:443")]
    [InlineData("10.0.0.1:1", "10.0.0.1:1")]
    [InlineData("ws://[FD00:0:0::1]:3001", "[fd00::1]:3001")]
    [InlineData("ws://[::ffff:10.0.0.1]:3001", "10.0.0.1:3001")]
    public void Addresses_are_normalised(string text, string expected) => MachineAddress.Parse(text, out _)!.ToString().ShouldBe(expected);

    [Fact]
    public void A_normalised_address_reads_back_as_itself()
    {
        foreach (var text in new[] { "10.0.0.1:3001", "[fd00::1]:3001", "node-1:80" })
        {
            var address = MachineAddress.Parse(text, out _)!;
            MachineAddress.Parse(address.ToUrl(), out _).ShouldBe(address);
        }
    }

    [Theory]
    [InlineData("127.0.0.1:1", true)]
    [InlineData("127.8.8.8:1", true)]
    [InlineData("[::1]:1", true)]
    [InlineData("localhost:1", true)]
    [InlineData("10.0.0.1:1", false)]
    [InlineData("localhost.example.org:1", false)]
    public void Loopback_is_known(string text, bool expected) => MachineAddress.Parse(text, out _)!.IsLoopback.ShouldBe(expected);

    [Theory]
    [InlineData("", 0)]
    [InlineData("aaaaaaaaaa", 47)]
    [InlineData("aA0!", 26.28)]
    [InlineData("0123456789", 33.2)]
    public void Strength_is_length_times_log2_of_the_classes(string secret, double bits) => SecretStrength.Bits(secret).ShouldBe(bits, 0.05);

    [Fact]
    public void A_generated_secret_is_strong_safe_in_urls_and_another_each_time()
    {
        var secrets = Enumerable.Range(0, 200).Select(_ => SecretGenerator.New()).ToList();
        secrets.Distinct().Count().ShouldBe(200);
        secrets.ShouldAllBe(s => SecretStrength.Bits(s) >= 160 && s[0] != '-' && s.All(c => char.IsAsciiLetterOrDigit(c) || c == '-' || c == '_'));
    }

    // Catches a hash over what differs from machine to machine: such a cluster would never form.
    [Fact]
    public void Machines_of_one_cluster_have_the_same_hashes_whatever_is_their_own()
    {
        const string services = "services: { web: { apart_from: [bot, job] }, bot: {}, job: {} }\n";
        var one = Valid("server: { remote_address: ws://a:1 }\n" + File("machines: [ws://b:1, ws://c:1]", services + "drivers: [ shell: { run: x, service: web } ]"));
        var two = Valid("server: { remote_address: ws://B:1, bind_port: 9 }\n" + File("machines: [ws://c:1, ws://a:1]\n  id: two\n  witness: true", "services: { job: {}, bot: {}, web: { apart_from: [job, bot] } }"));
        one.ClusterHash.ShouldBe(two.ClusterHash);
        one.ServicesHash.ShouldBe(two.ServicesHash);
        one.ClusterHash.Length.ShouldBe(64);
        (one with { Cluster = one.Cluster with { Lease = TimeSpan.FromSeconds(3) } }).ClusterHash.ShouldNotBe(one.ClusterHash);
        (one with { Cluster = one.Cluster with { Machines = [] } }).ClusterHash.ShouldNotBe(one.ClusterHash);
        Valid(File(rest: "services: { web: { kill_timeout: 1s } }")).ServicesHash.ShouldNotBe(Valid(File(rest: "services: { web: {} }")).ServicesHash);
        Valid(File(rest: "services: { web: { prefer: [a, b] } }")).ServicesHash.ShouldNotBe(Valid(File(rest: "services: { web: { prefer: [b, a] } }")).ServicesHash);
    }

    // Catches lists that reach the core in the order of the file: equal hashes, but machines that overwrite each other's proposal for ever.
    [Fact]
    public void Files_that_list_the_same_things_propose_the_same_definition()
    {
        var one = Valid(File(rest: "services: { web: { apart_from: [a, b], machines: [x, y], drivers: [m, n] }, a: {}, b: {} }"));
        var two = Valid(File(rest: "services: { b: {}, a: {}, web: { drivers: [n, m], machines: [y, x], apart_from: [b, a] } }"));
        two.Services!.Select(s => s.ToDefinition()).ShouldBe(one.Services!.Select(s => s.ToDefinition()));
    }

    [Fact]
    public void The_core_is_told_the_same_as_the_file_says()
    {
        var settings = Valid(File("machines: [ws://10.0.0.2:3001, ws://10.0.0.1:3001]\n  id: me\n  lease: 2s", "drivers: [ shell: { run: a }, shell: { run: b, required: false } ]"))
            .ToMachineSettings(1, 2, 3);
        (settings.Self.Value, settings.Address, settings.Lease, settings.Services.IsDefault).ShouldBe(("me", "10.0.0.1:3001", TimeSpan.FromSeconds(2), true));
        settings.Addresses.ShouldBe(["10.0.0.1:3001", "10.0.0.2:3001"]);
        settings.Drivers.ShouldHaveSingleItem().Name.Value.ShouldBe("default-shell");
    }

    // Two releases must agree about the same file: a change of the text is a change of the protocol.
    [Fact]
    public void The_hashes_stay_what_they_were_in_earlier_releases()
    {
        ConfigHash.OfServices([ServiceConfig.Default]).ShouldBe("b22d6a1ff0f4947c21fcc987e31808b16f59cf1b5ec92a355a84cd3644d9d288");
        Valid("server: { remote_address: ws://a:1 }\n" + File("lease: 1s\n  machines: [ws://b:1]")).ClusterHash.ShouldBe("35b4d20a9c1e7a1e5c9e296f2e55eb9fdf6402aef6d462c449f05449839e3e4c");
    }

    [Fact]
    public void Variables_beat_the_file()
    {
        var config = Valid(File("lease: 1s\n  machines: [ws://x:1]", "services: { web-front: { kill_timeout: 1s } }"), Machine(environment:
        [
            ("CLUSTD__CLUSTER__LEASE", "2s"), ("CLUSTD__CLUSTER__MACHINES", "ws://10.0.0.1:4000, ws://10.0.0.2:4000"), ("CLUSTD__SERVER__BIND_PORT", "4000"),
            ("CLUSTD__SERVICES__WEB_FRONT__KILL_TIMEOUT", "2s"), ("CLUSTD__CLUSTER__ID", ""), ("CLUSTD_SERVICE", "not ours"),
        ]));
        config.Cluster.Lease.ShouldBe(TimeSpan.FromSeconds(2));
        config.Cluster.Id.ShouldBe("node-1");
        config.ClusterAddresses.Select(a => a.ToString()).ShouldBe(["10.0.0.1:4000", "10.0.0.2:4000"]);
        config.Services![0].KillTimeout.ShouldBe(TimeSpan.FromSeconds(2));
    }

    [Theory]
    [InlineData(1, "1 machine tolerates 0 failures; add two more: ")]
    [InlineData(2, "2 machines tolerate 0 failures; add a witness: ")]
    [InlineData(3, "3 machines tolerate 1 failure.")]
    [InlineData(4, "4 machines tolerate 1 failure, as 3 would; ")]
    [InlineData(5, "5 machines tolerate 2 failures.")]
    public void Tolerance_is_said_in_words(int machines, string start) => FailoverBound.Tolerance(machines).ShouldStartWith(start);

    [Fact]
    public void The_bound_is_rounded_up_so_that_it_stays_one()
    {
        FailoverBound.Of(TimeSpan.FromSeconds(1), TimeSpan.FromMilliseconds(500)).ShouldBe(TimeSpan.FromMilliseconds(1531));
        FailoverBound.ClockFactor.ShouldBeGreaterThan(1.01m / 0.99m);
        Core.LeaseTiming.Stretch(TimeSpan.FromSeconds(1000)).ShouldBe(TimeSpan.FromSeconds(1000 * (double)FailoverBound.ClockFactor), "what is printed is what is waited");
    }

    [Fact]
    public void The_check_report_says_the_bound_in_words_and_names_best_effort_drivers()
    {
        var output = new StringWriter { NewLine = "\n" };
        CheckReport.Write(Read(File("machines: [ws://10.0.0.1:3001, ws://10.0.0.2:3001, ws://10.0.0.3:3001]", """
            services: { web: {}, bot: { kill_timeout: 2s } }
            drivers:
              - shell: { service: web, run: ./web }
              - shell: { service: bot, start: ./start.sh, stop: ./stop.sh }
            """)), output);
        output.ToString().ShouldBe("""
            The configuration is valid: machine node-1 at 10.0.0.1:3001, 3 machines, 2 services, 2 built-in drivers.

              3 machines tolerate 1 failure.
              Service 'bot': another machine starts it within 4.082s after its machine is lost or cut off, ~ (lease 2s + kill_timeout 2s) × 1.0203.
              Service 'web': another machine starts it within 2.551s after its machine is lost or cut off, ~ (lease 2s + kill_timeout 500ms) × 1.0203.
              A daemon that is back within its lease (2s), or from `clustd restart` within restart_grace (15s), moves nothing (one that is lost during that is taken over from within 17.346s); one that is stopped in good order hands over at once.
              Service 'bot' stops by best effort only (bot-shell): what a start script left behind may still run while another machine starts. Use `run: COMMAND` to have it killed for certain.

            """.ReplaceLineEndings("\n"));
    }

    [Fact] // Wrong program: speaks of start scripts, and of `run:`, to somebody who has none.
    public void What_a_best_effort_driver_may_leave_is_said_in_its_own_words()
    {
        var output = new StringWriter { NewLine = "\n" };
        CheckReport.Write(Read(File("machines: [ws://10.0.0.1:3001, ws://10.0.0.2:3001, ws://10.0.0.3:3001]", """
            drivers:
              - shell: { run: ./web }
              - webhook: { url: 'https://hooks.example.com', secret: 'a-secret-that-is-long-enough' }
            """)), output);
        output.ToString().ShouldContain("webhook): what it has done outside of this machine's processes may still stand");
        output.ToString().ShouldNotContain("script");
    }

    [Fact]
    public void The_check_report_lists_all_errors_and_warnings()
    {
        var output = new StringWriter { NewLine = "\n" };
        CheckReport.Write(Read("cluster: { lease: 5, id: a b, secret: x }\nserver: { bind_address: 127.0.0.1 }"), output);
        output.ToString().ShouldStartWith("The configuration is not valid: 2 errors.\n\nErrors:\n  config.yml:1:19: ");
        output.ToString().ShouldContain("\n\nWarnings:\n  config.yml:1:39: 'cluster.secret' is too weak");
    }

    [Theory]
    [InlineData("Cannot write a configuration: no address is given")]
    [InlineData("'a b' is not an address", "a b")]
    [InlineData("a:3001 is given twice", "a", "A:3001")]
    [InlineData("One file cannot serve ports 1 and 2", "a:1", "b:2")]
    public void Init_refuses_addresses_that_form_no_cluster(string message, params string[] addresses) =>
        Should.Throw<ConfigWriterException>(() => ConfigWriter.Write(addresses, GoodSecret)).Message.ShouldStartWith(message);

    // Catches examples in the written file that do not load once they are uncommented.
    [Fact]
    public void The_examples_of_init_load_when_uncommented()
    {
        var text = ConfigWriter.Write(["10.0.0.1:4000", "[fd00::2]:4000"], "it's " + GoodSecret);
        var lines = text.Split('\n').Select(line => line.StartsWith("# services", StringComparison.Ordinal) || line.StartsWith("#   ", StringComparison.Ordinal) || line.StartsWith("# drivers", StringComparison.Ordinal) ? line[2..] : line.Replace("  # lease", "  lease"));
        var config = Valid(string.Join('\n', lines));
        config.Cluster.Secret.ShouldBe("it's " + GoodSecret);
        config.Server.BindPort.ShouldBe(4000);
        (config.Services!.Count, config.Drivers.Count).ShouldBe((1, 2));
    }
}
