using Clustd.EndToEnd.Harness;
using Shouldly;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>The packages of the SDK, as a stranger uses them: packed, restored into projects outside of the solution, built, run.</summary>
public sealed class PackagesTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5); // Half a minute on an idle machine.

    [Fact]
    public async Task The_samples_outside_of_the_solution_build_from_the_packed_files_and_their_tests_pass()
    {
        // tests/Clustd.EndToEnd/bin/CONFIGURATION/FRAMEWORK -> samples/packages/run
        var script = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "../../../../../samples/packages/run"));
        var finished = await ClustdProgram.RunAsync([script], limit: Limit);
        finished.ExitCode.ShouldBe(0, finished.Out + finished.Error);
        string[] packages = ["Clustd.Client.nupkg", "Clustd.Client.snupkg", "Clustd.Client.Hosting.nupkg", "Clustd.Client.Hosting.snupkg", "Clustd.Client.Testing.nupkg", "Clustd.Client.Testing.snupkg"];
        foreach (var package in packages)
            finished.Out.ShouldContain($"packed {package}");
        finished.Out.ShouldContain("succeeded: 3");
    }
}
