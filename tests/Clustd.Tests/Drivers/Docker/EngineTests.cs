using Clustd.Drivers;
using Clustd.Drivers.Docker;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Drivers.Docker;

/// <summary>What people are told when an engine refuses, hangs, is none, or is not there.</summary>
public sealed class EngineTests : IDisposable
{
    private const string Running = """{"Id":"abc","State":{"Status":"running","Running":true,"Pid":0,"Health":{"Status":"unhealthy"}},"HostConfig":{"RestartPolicy":{"Name":"no"}},"More":[1,{"Of":"this"}]}""";

    private readonly string _folder = Directory.CreateTempSubdirectory("clustd-engine-").FullName;
    private FakeEngine? _fake;

    public void Dispose()
    {
        _fake?.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task An_inspection_is_read_and_what_is_not_needed_is_left()
    {
        using var engine = Engine(_ => FakeEngine.Json(200, Running));
        var state = (await engine.InspectAsync("web", default))!;
        (state.IsActive, state.IsStopped, state.IsUnhealthy, state.Words).ShouldBe((true, false, true, "running, but unhealthy"));
    }

    [Fact] // Two masters. Wrong program: Podman's "not running" is a stop, while its processes are given their ten seconds.
    public async Task What_is_being_stopped_has_not_stopped()
    {
        using var engine = Engine(_ => FakeEngine.Json(200, """{"Id":"abc","State":{"Status":"stopping","Running":false,"Pid":4711}}"""));
        (await engine.InspectAsync("web", default))!.IsStopped.ShouldBeFalse();
    }

    [Fact] // Docker 29 refuses versions below 1.44, and Podman 4 those above 1.41. Wrong program: names a version of its own.
    public async Task The_version_is_the_engines()
    {
        string? asked = null;
        using var engine = Engine(request =>
        {
            asked = request;
            return FakeEngine.Json(200, Running);
        }, FakeEngine.Ping("1.52"));
        await engine.InspectAsync("web", default);
        asked.ShouldBe("GET /v1.52/containers/web/json");
    }

    [Theory]
    [InlineData("1.12")]
    [InlineData("2.0")]
    [InlineData("")]
    [InlineData("latest")]
    [InlineData("1.99999999999999999")]
    public async Task A_version_that_is_not_known_is_refused(string version)
    {
        using var engine = Engine(_ => null, FakeEngine.Ping(version));
        (await engine.InspectAsync("web", default).ShouldThrowAsync<DriverFailedException>()).Message.ShouldContain("version");
    }

    [Fact]
    public async Task What_is_so_already_is_done()
    {
        using var engine = Engine(request => request.EndsWith("/kill?signal=SIGKILL", StringComparison.Ordinal) ? FakeEngine.Json(409, """{"message":"is not running"}""") : FakeEngine.Json(304, ""));
        await engine.StartAsync("web", default);
        await engine.StopAsync("web", TimeSpan.FromSeconds(3), default);
        await engine.KillAsync("web", "SIGKILL", default);
    }

    [Fact]
    public async Task What_is_not_there_is_stopped_and_cannot_be_started()
    {
        using var engine = Engine(_ => FakeEngine.Json(404, """{"message":"No such container: web"}"""));
        (await engine.InspectAsync("web", default)).ShouldBeNull();
        await engine.StopAsync("web", TimeSpan.Zero, default);
        (await engine.StartAsync("web", default).ShouldThrowAsync<DriverFailedException>()).Message.ShouldContain("There is no container web on this machine");
    }

    [Theory]
    [InlineData(500, """{"message":"driver failed programming external connectivity: port is already allocated"}""", "(500): driver failed programming external connectivity: port is already allocated")]
    [InlineData(409, """{"message":"container is marked for removal"}""", "(409): container is marked for removal")]
    [InlineData(500, "<html>\u0007\nnginx</html>", "(500): <html>  nginx</html>")]
    [InlineData(400, "", "(400): it does not say why")]
    [InlineData(500, """{"message":null}""", "(500)")]
    public async Task A_refusal_is_told_in_the_engines_words(int status, string body, string says)
    {
        using var engine = Engine(_ => FakeEngine.Json(status, body));
        (await engine.StartAsync("web", default).ShouldThrowAsync<DriverFailedException>()).Message.ShouldContain(says);
    }

    [Theory] // Wrong program: crashes by what it does not expect, or takes it for an answer.
    [InlineData("SSH-2.0-OpenSSH_9.2\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"Id\":")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n{\"Id\":\"a\",\"State\":\"dead\"}")]
    [InlineData("HTTP/1.1 302 Found\r\nLocation: http://example.org/\r\nContent-Length: 0\r\n\r\n")]
    [InlineData("\0\0\0")]
    public async Task An_answer_that_makes_no_sense_is_an_error(string answer)
    {
        using var engine = Engine(_ => answer);
        (await engine.InspectAsync("web", default).ShouldThrowAsync<DriverFailedException>()).Message.ShouldNotBeEmpty();
    }

    [Fact]
    public async Task An_engine_that_hangs_is_an_error_after_some_seconds()
    {
        using var engine = Engine(_ => null);
        (await engine.InspectAsync("web", default).ShouldThrowAsync<DriverFailedException>()).Message.ShouldContain("nothing came within 4 s");
    }

    [Fact]
    public async Task No_engine_is_a_finding()
    {
        var findings = new List<DriverFinding>();
        await using var driver = new DockerDriver(new DockerDriverOptions { Container = "web", Socket = Path.Combine(_folder, "none") }, new DriverHost { Address = "127.0.0.1:1", Secret = "s" });
        await foreach (var finding in driver.TestAsync(TestContext.Current.CancellationToken)) findings.Add(finding);
        findings.ShouldHaveSingleItem().Text.ShouldContain("Cannot connect to the engine at");
    }

    private Engine Engine(Func<string, string?> answer, string? ping = null)
    {
        string path = Path.Combine(_folder, "engine.sock");
        _fake = new FakeEngine(path) { Answer = request => request == "GET /_ping" ? ping ?? FakeEngine.Ping() : answer(request) };
        return new Engine(path);
    }
}
