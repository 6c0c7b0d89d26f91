using Shouldly;
using Xunit;

namespace Clustd.Tests.Docs;

/// <summary>Code in the documents is taken from files that are compiled, and run by tests: what people copy works.</summary>
public sealed class SampleCodeTests
{
    private static readonly IReadOnlyList<string[]> Compiled = [.. Repository.Sources("samples").Concat(Repository.Sources("tests")).Select(path => Lines(Repository.Text(path)))];

    [Theory]
    [InlineData("docs/drivers.md", 6)]
    [InlineData("docs/writing-a-driver.md", 1)]
    [InlineData("docs/recipes/aspnetcore-worker.md", 2)]
    [InlineData("src/Clustd.Client/README.md", 1)]
    [InlineData("src/Clustd.Client.Hosting/README.md", 2)]
    [InlineData("src/Clustd.Client.Testing/README.md", 1)]
    public void Every_sample_is_part_of_a_file_that_is_compiled(string document, int atLeast)
    {
        var samples = Repository.Blocks(document, "csharp");
        samples.Count.ShouldBeGreaterThanOrEqualTo(atLeast);
        foreach (var sample in samples)
            Compiled.Any(file => Contains(file, Lines(sample))).ShouldBeTrue($"{document}: no file in samples/ or tests/ has these lines:\n{sample}");
    }

    // Their tests run them: tests/Clustd.Conformance/Samples, clients/*/test, tests/Clustd.EndToEnd/Scenarios/BashSamplesTests.cs.
    [Theory]
    [InlineData("docs/writing-a-driver.md", "python", 1)]
    [InlineData("docs/writing-a-driver.md", "bash", 1)]
    [InlineData("docs/writing-a-driver.md", "typescript", 1)]
    [InlineData("clients/python/README.md", "python", 2)]
    public void Every_sample_in_another_language_is_part_of_a_file_that_is_run(string document, string language, int atLeast)
    {
        var names = language switch { "python" => "*.py", "typescript" => "*.ts", _ => "*.sh" };
        var run = new[] { "samples", "clients" }.SelectMany(folder => Repository.Files(folder, names)).Select(path => Lines(Repository.Text(path))).ToList();
        var samples = Repository.Blocks(document, language);
        samples.Count.ShouldBeGreaterThanOrEqualTo(atLeast);
        foreach (var sample in samples)
            run.Any(file => Contains(file, Lines(sample))).ShouldBeTrue($"{document}: no {language} file in samples/ or clients/ has these lines:\n{sample}");
    }

    // Without indentation and empty lines, which depend on where a sample stands.
    private static string[] Lines(string text) => [.. text.Split('\n').Select(line => line.Trim()).Where(line => line.Length > 0)];

    private static bool Contains(string[] file, string[] sample) => Enumerable.Range(0, Math.Max(0, file.Length - sample.Length + 1)).Any(start => file.AsSpan(start, sample.Length).SequenceEqual(sample));
}
