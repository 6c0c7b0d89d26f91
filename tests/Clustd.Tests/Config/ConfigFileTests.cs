using Clustd.Drivers.Cloudflare;
using Clustd.Drivers.Shell;
using Clustd.Config;
using Shouldly;
using Xunit;
using static Clustd.Tests.Config.ConfigTestWorld;

namespace Clustd.Tests.Config;

/// <summary>Files, secrets in files, and the order in which a configuration is looked for.</summary>
public sealed class ConfigFileTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("clustd-config-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    private string Write(string name, string text)
    {
        var path = Path.Combine(folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        System.IO.File.WriteAllText(path, text);
        return path;
    }

    private ConfigSurroundings Here(params (string, string)[] environment) =>
        Machine(environment: environment) with { WorkingDirectory = folder, SystemConfigPath = Path.Combine(folder, "etc/config.yml") };

    [Fact]
    public void The_file_is_looked_for_in_four_places_in_order()
    {
        ConfigLoader.Load(null, Here()).Errors.ShouldHaveSingleItem().What.ShouldBe("There is no configuration");
        Write("etc/config.yml", File("id: from-etc"));
        Valid(ConfigLoader.Load(null, Here())).Cluster.Id.ShouldBe("from-etc");
        Write("config.yml", File("id: from-here"));
        Valid(ConfigLoader.Load(null, Here())).Cluster.Id.ShouldBe("from-here");
        Write("other.yml", File("id: from-variable"));
        Valid(ConfigLoader.Load(null, Here(("CLUSTD_CONFIG", "other.yml")))).Cluster.Id.ShouldBe("from-variable");
        Write("given.yml", File("id: from-option"));
        var config = Valid(ConfigLoader.Load("given.yml", Here(("CLUSTD_CONFIG", "other.yml"))));
        config.Cluster.Id.ShouldBe("from-option");
        config.Path.ShouldBe(Path.Combine(folder, "given.yml"));
    }

    [Fact]
    public void The_environment_alone_can_be_the_configuration() =>
        Valid(ConfigLoader.Load(null, Here(("CLUSTD__CLUSTER__SECRET", GoodSecret)))).Cluster.Id.ShouldBe("node-1");

    [Fact]
    public void Files_that_cannot_be_read_are_problems()
    {
        ConfigLoader.Load("missing.yml", Here()).Errors.ShouldHaveSingleItem().Why.ShouldEndWith("missing.yml does not exist");
        ConfigLoader.Load(".", Here()).Errors.ShouldHaveSingleItem().Why.ShouldEndWith("is a folder");
        ConfigLoader.Load("a\0b", Here()).Errors.ShouldHaveSingleItem().What.ShouldBe("The path holds a null character");
        ConfigLoader.LoadDrivers("a\0b", Here()).Errors.ShouldHaveSingleItem();
        ConfigLoader.Load("/dev/zero", Here()).Errors.ShouldHaveSingleItem().What.ShouldBe("The file is too large");
    }

    [Theory]
    [InlineData(new byte[] { (byte)'a', (byte)'\n', (byte)'b', 0xE4, (byte)'c' }, 2, 2)]
    [InlineData(new byte[] { 0xFF, 0xFE, (byte)'a', 0 }, 1, 1)]
    public void A_file_that_is_not_utf8_is_told_where(byte[] bytes, int line, int column)
    {
        System.IO.File.WriteAllBytes(Path.Combine(folder, "config.yml"), bytes);
        var error = ConfigLoader.Load(null, Here()).Errors.ShouldHaveSingleItem();
        (error.What, error.Line, error.Column).ShouldBe(("The file is not UTF-8", line, column));
    }

    [Fact]
    public void A_byte_order_mark_is_no_harm()
    {
        System.IO.File.WriteAllBytes(Path.Combine(folder, "config.yml"), [0xEF, 0xBB, 0xBF, .. System.Text.Encoding.UTF8.GetBytes(File())]);
        Valid(ConfigLoader.Load(null, Here()));
    }

    [Fact]
    public void A_secret_can_stand_in_a_file_beside_the_configuration()
    {
        Write("etc/secret", GoodSecret + "\n");
        Write("etc/config.yml", "cluster: { secret: 'file:secret' }");
        Valid(ConfigLoader.Load(null, Here())).Cluster.Secret.ShouldBe(GoodSecret);
    }

    [Fact]
    public void A_secret_can_be_a_credential_of_systemd()
    {
        Write("credentials/cluster", GoodSecret + "\n");
        Write("config.yml", "cluster: { secret: 'credential:cluster' }");
        Valid(ConfigLoader.Load(null, Here(("CREDENTIALS_DIRECTORY", Path.Combine(folder, "credentials"))))).Cluster.Secret.ShouldBe(GoodSecret);
        ConfigLoader.Load(null, Here()).Errors.ShouldHaveSingleItem().Why.ShouldStartWith("$CREDENTIALS_DIRECTORY is not set");
    }

    [Theory]
    [InlineData("file:", "names no file")]
    [InlineData("file:absent", "cannot be read")]
    [InlineData("file:empty", "is empty")]
    [InlineData("file:/dev/zero", "cannot be read")]
    [InlineData("credential:../x", "names no credential")]
    [InlineData("credential:x", "cannot be read")]
    public void A_secret_that_cannot_be_fetched_is_a_problem(string secret, string what)
    {
        Write("empty", "\n");
        Write("config.yml", $"cluster: {{ secret: '{secret}' }}");
        ConfigLoader.Load(null, Here()).Errors.ShouldHaveSingleItem().What.ShouldBe($"'cluster.secret' {what}");
    }

    [Fact]
    public void The_2018_driver_file_works_unchanged()
    {
        var path = Write("driver.yml", """
            host: ws://127.0.0.1:3001
            secret: supersecret
            script:
              shell: /bin/bash
              cwd: ./app
              start: ./start.sh
              stop: ./stop.sh
              env:
                MY_VAR: 2
            """);
        var result = ConfigLoader.LoadDrivers(path, Here());
        result.Errors.ShouldBeEmpty();
        var file = result.Config.ShouldNotBeNull();
        file.Host.ShouldBe(new Uri("ws://127.0.0.1:3001"));
        file.Secret.ShouldBe("supersecret");
        file.ToString().ShouldNotContain("supersecret");
        var driver = file.Drivers.ShouldHaveSingleItem().ShouldBeOfType<ShellDriverOptions>();
        (driver.Service, driver.Name, driver.Shell, driver.WorkingDirectory, driver.Start, driver.Stop).ShouldBe(("default", "default-shell", "/bin/bash", "./app", "./start.sh", "./stop.sh"));
        driver.Environment.ShouldBe([new("MY_VAR", "2")]);
    }

    [Fact]
    public void A_driver_file_can_hold_the_new_list_and_the_address_of_the_door() =>
        ConfigLoader.ParseDriverFile("{ host: 'ws://127.0.0.1:3001/v1/driver', secret: x, drivers: [ shell: { run: a, service: web }, shell: { run: b } ] }", "d.yml", Here())
            .Config!.Drivers.Select(d => d.Name).ShouldBe(["web-shell", "default-shell"]);

    [Fact]
    public void The_2018_cloudflare_file_works_unchanged()
    {
        var file = ConfigLoader.ParseDriverFile("""
            host: ws://127.0.0.1:3001
            secret: 'cluster secret'
            cloudflare:
              email: me@example.com
              api_key: 0123456789abcdef
              dns_record:
                zone_id: 023e105f4ecef8ad9ca31a8372d0c353
                name: mydomain.com
                value: 1.2.3.4
                ttl: 1 # 1 means auto
                proxied: true # Whether to proxy traffic through cloudflare
            """, "d.yml", Here()).Config.ShouldNotBeNull();
        var driver = file.Drivers.ShouldHaveSingleItem().ShouldBeOfType<CloudflareDriverOptions>();
        (driver.Service, driver.Name, driver.Email, driver.ApiKey, driver.ZoneId, driver.Record, driver.Ttl, driver.Proxied, driver.Cname, driver.Token)
            .ShouldBe(("default", "default-cloudflare", "me@example.com", "0123456789abcdef", "023e105f4ecef8ad9ca31a8372d0c353", "mydomain.com", 1, true, null, null));
        driver.Addresses.ShouldBe(["1.2.3.4"]);
        driver.Validate().ShouldBeEmpty();
        driver.ToString().ShouldNotContain("0123456789abcdef");
    }

    [Theory]
    [InlineData("email: a, api_key: b", "'cloudflare.dns_record' is missing")]
    [InlineData("dns_record: { zone_id: z, name: a.b, value: 1.2.3.4 }", "'cloudflare' has not one way to prove who it is")]
    [InlineData("email: a, dns_record: { zone_id: z, name: a.b, value: 1.2.3.4 }", "'cloudflare' has not one way to prove who it is")]
    [InlineData("email: a, api_key: b, dns_record: { zone_id: z, value: 1.2.3.4 }", "'cloudflare.dns_record.name' is missing")]
    [InlineData("email: a, api_key: b, dns_record: { zone_id: z, name: a.b, value: 'a b' }", "'a b' in 'cloudflare.dns_record.value' cannot be used")]
    [InlineData("email: a, api_key: b, dns_record: { zone_id: z, name: a.b, value: 1.2.3.4, ttl: 0 }", "'cloudflare.dns_record.ttl' is out of range")]
    [InlineData("email: a, api_key: 'b c', dns_record: { zone_id: z, name: a.b, value: 1.2.3.4 }", "'cloudflare.api_key' cannot be used")]
    public void What_a_2018_cloudflare_file_lacks_is_said(string keys, string what) =>
        ConfigLoader.ParseDriverFile($"host: ws://127.0.0.1:3001\nsecret: x\ncloudflare: {{ {keys} }}\n", "d.yml", Here()).Errors.ShouldHaveSingleItem().What.ShouldBe(what);

    [Fact]
    public void The_drivers_of_a_daemons_file_connect_to_that_daemon()
    {
        Write("config.yml", "server: { bind_port: 4001 }\n" + File(rest: "drivers: [ shell: { run: a } ]"));
        var file = ConfigLoader.LoadDrivers(null, Here()).Config.ShouldNotBeNull();
        (file.Host, file.Secret, file.Drivers.Count).ShouldBe((new Uri("ws://127.0.0.1:4001"), GoodSecret, 1));
    }

    [Fact]
    public void A_driver_file_is_not_taken_for_a_daemons() =>
        ConfigLoader.Parse("host: ws://127.0.0.1:3001\nsecret: x\nscript: { start: a, stop: b }", "config.yml", Here())
            .Errors.ShouldHaveSingleItem().What.ShouldBe("This is a driver file");
}
