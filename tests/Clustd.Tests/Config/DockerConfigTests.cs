using Clustd.Drivers.Docker;
using Shouldly;
using Xunit;
using static Clustd.Tests.Config.ConfigTestWorld;

namespace Clustd.Tests.Config;

/// <summary>`docker` in a file.</summary>
public sealed class DockerConfigTests
{
    [Fact]
    public void The_least_that_it_takes()
    {
        var docker = Driver("container: web_1.a-b");
        (docker.Container, docker.Socket, docker.RestartsMax, docker.HasGuard, docker.StopsForCertain, docker.EffectiveName).ShouldBe(("web_1.a-b", null, 3, true, true, "default-docker"));
        docker.Validate().ShouldBeEmpty();
    }

    [Theory]
    [InlineData("restarts: 1", "'drivers[0].docker.container' is missing")]
    [InlineData("container: 'a/b'", "is no container")]
    [InlineData("container: '-web'", "is no container")]
    [InlineData("container: '../x'", "is no container")]
    [InlineData("container: web, socket: 'tcp://10.0.0.1:2375'", "is no socket")]
    [InlineData("container: web, socket: '/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'", "is no socket")]
    [InlineData("container: web, restarts: 101", "out of range")]
    public void What_cannot_be_is_said(string keys, string what)
    {
        var errors = Read(Text(keys)).Errors;
        errors.Count.ShouldBe(1);
        errors[0].What.ShouldContain(what);
    }

    [Fact]
    public void Without_a_guard_it_stops_by_best_effort_and_that_is_a_warning()
    {
        Driver("container: web, guard: false").StopsForCertain.ShouldBeFalse();
        Read(Text("container: web, guard: false")).Warnings.ShouldContain(warning => warning.What.Contains("guard"));
    }

    private static DockerDriverOptions Driver(string keys) => Valid(Text(keys)).Drivers.Single().ShouldBeOfType<DockerDriverOptions>();

    private static string Text(string keys) => File(rest: $"services: {{ default: {{}} }}\ndrivers: [ docker: {{ {keys} }} ]");
}
