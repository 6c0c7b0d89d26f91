using Clustd.Drivers.Shell;
using Clustd.Config;
using Shouldly;
using Xunit;
using static Clustd.Tests.Config.ConfigTestWorld;

namespace Clustd.Tests.Config;

public sealed class ConfigLoaderTests
{
    private const string File2018 = """
        server:
          bind_address: 127.0.0.1
          bind_port: 3001
          remote_address: ws://127.0.0.1:3001
        cluster:
          secret: supersecret
          id: cm-1
          machines:
            - ws://127.0.0.1:3002
            - ws://127.0.0.1:3003
        """;

    [Fact]
    public void The_2018_file_works_unchanged_and_only_warns_about_its_weak_secret()
    {
        var result = Read(File2018);
        var config = Valid(result);
        config.Cluster.Id.ShouldBe("cm-1");
        config.Server.RemoteAddress.ShouldBe(new MachineAddress("127.0.0.1", 3001));
        config.Cluster.Machines.Select(m => m.ToString()).ShouldBe(["127.0.0.1:3002", "127.0.0.1:3003"]);
        config.Services.ShouldBeNull();
        config.ServicesOrDefault.ShouldHaveSingleItem().Name.ShouldBe("default");
        config.ServicesHash.ShouldBeNull();
        result.Warnings.ShouldHaveSingleItem().What.ShouldBe("'cluster.secret' is too weak");
    }

    [Fact]
    public void Defaults_are_those_of_the_design()
    {
        var config = Valid(File(rest: "services: { web: }"));
        config.Server.BindAddress.ShouldBe("0.0.0.0");
        config.Server.BindPort.ShouldBe(3001);
        config.Cluster.Lease.ShouldBe(TimeSpan.FromSeconds(2)); // decision 0007, by evidence; the design said 1 s
        config.Cluster.RestartGrace.ShouldBe(TimeSpan.FromSeconds(15));
        config.Cluster.Witness.ShouldBeFalse();
        config.Services!.ShouldHaveSingleItem().ShouldBe(ServiceConfig.Default with { Name = "web" }, new WithoutLists());
        ServiceConfig.Default.StartTimeout.ShouldBe(TimeSpan.FromSeconds(30));
        ServiceConfig.Default.StopTimeout.ShouldBe(TimeSpan.FromSeconds(10));
        ServiceConfig.Default.KillTimeout.ShouldBe(TimeSpan.FromMilliseconds(500));
        ServiceConfig.Default.OnStopFailure.ShouldBe(StopFailureAction.Block);
    }

    // Catches a loader that keeps the own address among the others: the cluster would wait for one machine more than there is.
    [Theory]
    [InlineData("node-1", "10.0.0.1", "10.0.0.1:3001")]
    [InlineData("node-2", "10.0.0.2", "10.0.0.2:3001")]
    [InlineData("node-3", "10.0.0.3", "10.0.0.3:3001")]
    public void One_file_serves_all_machines(string name, string address, string expected)
    {
        var text = ConfigWriter.Write(["10.0.0.1", "10.0.0.2", "10.0.0.3"], SecretGenerator.New());
        var result = Read(text, Machine(name, address));
        result.Warnings.ShouldBeEmpty();
        var config = Valid(result);
        config.Cluster.Id.ShouldBe(name);
        config.Server.RemoteAddress.ToString().ShouldBe(expected);
        config.Cluster.Machines.Count.ShouldBe(2);
        config.ClusterAddresses.Select(a => a.ToString()).ShouldBe(["10.0.0.1:3001", "10.0.0.2:3001", "10.0.0.3:3001"]);
        config.Server.DataDirectory.ShouldBe($"/var/lib/clustd/{name}");
    }

    [Theory]
    [InlineData("machines: [ws://node-1:3001, ws://node-2:3001]", "node-1:3001")]
    [InlineData("machines: [ws://node-1.example.org:3001, ws://node-2.example.org:3001]", "node-1.example.org:3001")]
    [InlineData("machines: [ws://10.0.0.1:3001, ws://10.0.0.1:3002]", "10.0.0.1:3001")]
    [InlineData("machines: [WS://10.0.0.2:3001/, 'ws://[::ffff:10.0.0.1]:3001']", "10.0.0.1:3001")]
    public void The_own_address_is_found_among_the_machines(string machines, string expected) =>
        Valid(File(machines)).Server.RemoteAddress.ToString().ShouldBe(expected);

    [Fact]
    public void A_daemon_that_listens_on_one_of_several_local_addresses_is_known_by_that_one() =>
        Valid("server: { bind_address: 127.0.0.2 }\n" + File("machines: [ws://127.0.0.1:3001, ws://127.0.0.2:3001]"))
            .Server.RemoteAddress.ToString().ShouldBe("127.0.0.2:3001");

    [Fact]
    public void Everything_can_be_said_at_once()
    {
        var config = Valid("""
            server: { bind_address: 10.0.0.1, bind_port: 4001, remote_address: ws://node-1:4001, data_dir: data }
            cluster: { secret: 0123456789abcdefghijKLMNOPQRSTUV, old_secret: 'VUTSRQPONMLKjihgfedcba9876543210', id: cm-1, machines: [ws://node-2:4001], lease: 200ms, restart_grace: 1m, witness: false }
            services:
              web: { start_timeout: 1m, stop_timeout: 1.5s, kill_timeout: 1s, prefer: [cm-1, cm-2], failback: true, apart_from: [bot], drivers: [web-shell], machines: [cm-1, cm-2], on_stop_failure: fence, fencing: required }
              bot:
            drivers:
              - shell: { service: web, run: './web --port 8080', user: www, order: 5, required: false, stop_timeout: 1s, kill_timeout: 500ms }
              - shell: { service: bot, start: ./start.sh, stop: ./stop.sh, cwd: ., env: { MY_VAR: 2 }, shell: /bin/bash, name: mine }
            """);
        config.Server.DataDirectory.ShouldBe("/nowhere/data");
        config.Cluster.Lease.ShouldBe(TimeSpan.FromMilliseconds(200));
        config.Services!.Select(s => s.Name).ShouldBe(["bot", "web"]);
        var web = config.Services![1];
        web.StopTimeout.ShouldBe(TimeSpan.FromSeconds(1.5));
        web.Prefer.ShouldBe(["cm-1", "cm-2"]);
        web.Failback.ShouldBeTrue();
        web.ApartFrom.ShouldBe(["bot"]);
        web.Drivers.ShouldBe(["web-shell"]);
        web.Machines.ShouldBe(["cm-1", "cm-2"]);
        web.OnStopFailure.ShouldBe(StopFailureAction.Fence);
        web.RequiresFencing.ShouldBeTrue();
        var run = config.Drivers[0].ShouldBeOfType<ShellDriverOptions>();
        (run.Name, run.Run, run.User, run.Order, run.Required, run.Shell, run.StopsForCertain).ShouldBe(("web-shell", "./web --port 8080", "www", 5, false, "/bin/sh", true));
        run.StopTimeout.ShouldBe(TimeSpan.FromSeconds(1));
        var scripts = config.Drivers[1].ShouldBeOfType<ShellDriverOptions>();
        (scripts.Name, scripts.Start, scripts.Stop, scripts.WorkingDirectory, scripts.Shell, scripts.StopsForCertain).ShouldBe(("mine", "./start.sh", "./stop.sh", ".", "/bin/bash", false));
        scripts.Environment.ShouldBe([new("MY_VAR", "2")]);
        scripts.KillTimeout.ShouldBeNull();
    }

    [Fact]
    public void Drivers_without_names_get_distinct_ones_that_avoid_the_given_names() =>
        Valid(File(rest: "drivers: [ shell: { run: a }, shell: { run: b, name: default-shell-2 }, shell: { run: c } ]"))
            .Drivers.Select(d => d.Name).ShouldBe(["default-shell", "default-shell-2", "default-shell-3"]);

    [Fact]
    public void The_grace_of_a_restart_is_never_shorter_than_the_lease() =>
        Valid(File("lease: 1m")).Cluster.RestartGrace.ShouldBe(TimeSpan.FromMinutes(1));

    [Fact]
    public void Anchors_aliases_and_merge_keys_work()
    {
        var services = Valid(File(rest: "services:\n  a: &base { kill_timeout: 1s, prefer: &p [x] }\n  b: { <<: *base, kill_timeout: 2s }\n  c: { prefer: *p }\n")).Services!;
        services.Select(s => s.KillTimeout.TotalSeconds).ShouldBe([1, 2, 0.5]);
        services.ShouldAllBe(s => s.Prefer.Single() == "x");
    }

    [Fact]
    public void A_configuration_never_prints_its_secret()
    {
        var config = Valid(File("old_secret: VUTSRQPONMLKjihgfedcba9876543210"));
        config.ToString().ShouldNotContain(GoodSecret);
        config.ToString().ShouldNotContain("VUTSRQ");
    }

    [Fact]
    public void The_data_directory_is_the_first_that_can_be_used()
    {
        Valid(File(), Machine(environment: ("STATE_DIRECTORY", "/var/lib/clustd:/x"))).Server.DataDirectory.ShouldBe("/var/lib/clustd");
        Valid(File("id: cm-1")).Server.DataDirectory.ShouldBe("/var/lib/clustd/cm-1");
        Valid(File("id: cm-1"), Machine() with { CanKeepData = _ => false }).Server.DataDirectory.ShouldBe("/home/someone/.local/state/clustd/cm-1");
        Read(File("id: cm-1"), Machine() with { CanKeepData = _ => false, HomeDirectory = "" }).Errors.ShouldHaveSingleItem().What.ShouldBe("'server.data_dir' is missing");
    }

    [Fact]
    public void The_real_surroundings_can_be_asked()
    {
        var surroundings = ConfigSurroundings.OfThisProcess();
        surroundings.HostName.ShouldNotBeEmpty();
        surroundings.CanKeepData(Path.Combine(Path.GetTempPath(), "not", "yet", "there")).ShouldBeTrue();
        surroundings.CanKeepData(Path.Combine(typeof(ConfigLoaderTests).Assembly.Location, "below", "a", "file")).ShouldBeFalse();
    }

    private sealed class WithoutLists : IEqualityComparer<ServiceConfig>
    {
        public bool Equals(ServiceConfig? a, ServiceConfig? b) => ConfigHash.ServicesText([a!]) == ConfigHash.ServicesText([b!]);
        public int GetHashCode(ServiceConfig service) => 0;
    }
}
