using System.Text.RegularExpressions;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Docs;

/// <summary>Rules of the house that a compiler does not know. In the manner of TigerBeetle's `tidy`.</summary>
public sealed partial class TidyTests
{
    private const int LinesMax = 500;

    [Fact]
    public void No_source_file_holds_a_second_idea() =>
        Repository.Sources("src").Where(path => Repository.Lines(path).Count > LinesMax).ShouldBeEmpty($"over {LinesMax} lines: ask which second idea moved in, and give it a file");

    [Fact]
    public void Nothing_is_left_for_later_in_the_source() =>
        Found(Repository.Sources("src"), Unfinished()).ShouldBeEmpty("finish it, or leave it out and say so in the documents");

    [Fact]
    public void No_type_is_a_drawer() =>
        Repository.Sources("src").Where(path => Drawer().IsMatch(path)).ShouldBeEmpty("a thing without a home has not found its name yet");

    // The project files already wall off whole projects; a `using` is checked as well, so that a project reference cannot slip in unseen.
    [Theory]
    [InlineData("Clustd.Core", "")]
    [InlineData("Clustd.Client", "")]
    [InlineData("Clustd.Client.Hosting", "Clustd.Client")]
    [InlineData("Clustd.Client.Testing", "Clustd.Client")]
    [InlineData("Clustd.Drivers", "Clustd.Client")]
    public void Nothing_imports_upward(string project, string mayUse)
    {
        var allowed = mayUse.Length == 0 ? [project] : (string[])[project, mayUse];
        var names = Repository.Sources($"src/{project}").SelectMany(path => Repository.Lines(path)
            .Select(line => Comment().Replace(line, ""))
            .SelectMany(code => OwnName().Matches(code).Select(match => $"{path}: {match.Value}")));
        names.Where(name => !allowed.Any(each => name.EndsWith($": {each}", StringComparison.Ordinal))).ShouldBeEmpty();

        var references = ProjectReference().Matches(Repository.Text($"src/{project}/{project}.csproj")).Select(match => match.Groups["name"].Value);
        references.ShouldBe(allowed.Where(each => each != project));
    }

    private static List<string> Found(IEnumerable<string> paths, Regex pattern) =>
        [.. paths.SelectMany(path => Repository.Lines(path).Select((line, index) => (line, Place: $"{path}:{index + 1}")).Where(each => pattern.IsMatch(each.line)).Select(each => $"{each.Place}: {each.line.Trim()}"))];

    [GeneratedRegex(@"\b(TODO|FIXME|HACK|XXX)\b|NotImplementedException")]
    private static partial Regex Unfinished();

    [GeneratedRegex(@"(Utils?|Helpers?|Common|Misc|Abstractions|Infrastructure|Manager)(/|\.cs$)")]
    private static partial Regex Drawer();

    [GeneratedRegex(@"//.*")]
    private static partial Regex Comment();

    // Of a namespace the first two parts: they name the project, or a folder of the daemon.
    [GeneratedRegex(@"(?<![\w""/.])(global::)?Clustd\.[A-Z]\w*")]
    private static partial Regex OwnName();

    [GeneratedRegex(@"<ProjectReference Include=""[^""]*/(?<name>[\w.]+)\.csproj""")]
    private static partial Regex ProjectReference();
}
