using System.Text;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using Clustd.Cli;
using Shouldly;
using Xunit;
using static Clustd.Tests.Config.ConfigTestWorld;

namespace Clustd.Tests.Docs;

/// <summary>The documents name only what is there.</summary>
public sealed partial class DocumentsTests
{
    // Named in a document as something that comes later. Whoever adds the command takes it out here, and is told so by a test.
    private static readonly string[] ComesLater = [];

    [Fact]
    public void Every_link_leads_somewhere()
    {
        var links = Repository.Documents.SelectMany(document => Link().Matches(WithoutCode(document)).Select(match => (Document: document, Target: match.Groups["target"].Value))).ToList();
        links.Count.ShouldBeGreaterThan(20);
        links.Where(link => !link.Target.Contains("://") && !LeadsSomewhere(link.Document, link.Target)).ShouldBeEmpty();
    }

    // Error texts and comments send people to documents.
    [Fact]
    public void Every_document_that_is_named_exists() =>
        Repository.Sources("src").Concat(Repository.Documents)
            .SelectMany(path => DocumentName().Matches(Repository.Text(path)).Select(match => (path, Named: match.Value)))
            .Where(each => !Repository.Has(each.Named)).ShouldBeEmpty();

    [Fact]
    public void Every_command_that_a_document_names_exists()
    {
        var named = Repository.Documents.SelectMany(document => CommandsIn(document).Select(command => (document, command))).ToList();
        named.Count.ShouldBeGreaterThan(20);
        named.Where(each => !Commands().Contains(each.command) && !HiddenCommands().Contains(each.command) && !ScriptCommands().Contains(each.command) && !ComesLater.Contains(each.command)).ShouldBeEmpty();
    }

    [Fact]
    public void What_comes_later_is_not_there_yet() => ComesLater.Where(command => Commands().Contains(command)).ShouldBeEmpty();

    [Fact]
    public void The_readme_names_every_command()
    {
        var readme = Repository.Text("README.md");
        Commands().Where(command => !Regex.IsMatch(readme, $@"^\|.*`{command}\b", RegexOptions.Multiline)).ShouldBeEmpty();
    }

    [Fact]
    public void Every_package_is_argued_for_and_nothing_else_is()
    {
        var packages = XDocument.Parse(Repository.Text("Directory.Packages.props")).Descendants("PackageVersion")
            .Select(package => (Name: package.Attribute("Include")!.Value, Version: package.Attribute("Version")!.Value)).ToList();
        // "name 10", "name 0.57": as much of the version as an argument is about.
        var rows = DependencyRow().Matches(Repository.Text("docs/dependencies.md")).Select(match => (Name: match.Groups["name"].Value, Version: match.Groups["version"].Value)).ToList();

        packages.Where(package => !rows.Any(row => row.Name == package.Name && $"{package.Version}.".StartsWith($"{row.Version}.", StringComparison.Ordinal)))
            .ShouldBeEmpty("each package has a line in docs/dependencies.md, with the first parts of its version");
        rows.Where(row => packages.All(package => package.Name != row.Name)).ShouldBeEmpty("a line without a package");
    }

    [Fact]
    public void Every_yaml_sample_outside_of_the_configuration_s_own_page_loads()
    {
        var samples = Repository.Documents.Where(document => document != "docs/config.md").SelectMany(document => Repository.Blocks(document, "yaml")).ToList();
        samples.Count.ShouldBeGreaterThan(1);
        foreach (var sample in samples)
        {
            // What a sample leaves out is not what it is about.
            var whole = sample.Contains("cluster:") ? sample : $"cluster: {{ secret: {GoodSecret} }}\n{sample}";
            Read(whole.Replace("'...'", GoodSecret).Replace("file:/etc/clustd/secret", GoodSecret).Replace("file:/etc/clustd/webhook-secret", GoodSecret)).Errors.ShouldBeEmpty(sample);
        }
    }

    private static List<string> Commands() => [.. CommandLine.Root(new Terminal(TextWriter.Null, TextWriter.Null)).Subcommands.Where(command => !command.Hidden).Select(command => command.Name)];

    // Dispatched before the command line is read: `if (args is ["guard", ..])`.
    private static List<string> HiddenCommands() => [.. Dispatched().Matches(Repository.Text("src/Clustd/Program.cs")).Select(match => match.Groups["word"].Value)];

    // Of the script at the root, for whoever has the sources: `if [ "${1:-}" = publish ]`.
    private static List<string> ScriptCommands() => [.. InScript().Matches(Repository.Text("clustd")).Select(match => match.Groups["word"].Value)];

    private static IEnumerable<string> CommandsIn(string document) =>
        InlineCommand().Matches(Repository.Text(document)).Select(match => match.Groups["word"].Value)
            .Concat(new[] { "sh", "" }.SelectMany(language => Repository.Blocks(document, language)).SelectMany(block => LineCommand().Matches(block).Select(match => match.Groups["word"].Value)));

    private static bool LeadsSomewhere(string document, string target)
    {
        var hash = target.IndexOf('#');
        var path = hash < 0 ? target : target[..hash];
        var file = path.Length == 0 ? document : Repository.Resolve(document, path);
        return Repository.Has(file) && (hash < 0 || Repository.Lines(file).Any(line => line.StartsWith('#') && Anchor(line.TrimStart('#').Trim()) == target[(hash + 1)..]));
    }

    /// <summary>As GitHub makes it of a heading.</summary>
    private static string Anchor(string heading)
    {
        var anchor = new StringBuilder();
        foreach (var letter in heading.ToLowerInvariant())
        {
            if (char.IsLetterOrDigit(letter) || letter is '-' or '_') anchor.Append(letter);
            else if (letter == ' ') anchor.Append('-');
        }

        return anchor.ToString();
    }

    private static string WithoutCode(string document) => Code().Replace(Repository.Text(document), "");

    [GeneratedRegex(@"\]\((?<target>[^)\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"```.*?```|`[^`\n]*`", RegexOptions.Singleline)]
    private static partial Regex Code();

    [GeneratedRegex(@"(?<![\w/])docs/[\w./-]*\w\.(md|json)\b")]
    private static partial Regex DocumentName();

    [GeneratedRegex(@"`(\./)?clustd (?<word>[a-z][a-z-]*)")]
    private static partial Regex InlineCommand();

    [GeneratedRegex(@"^(\./)?clustd (?<word>[a-z][a-z-]*)", RegexOptions.Multiline)]
    private static partial Regex LineCommand();

    [GeneratedRegex(@"args is \[""(?<word>[a-z]+)""")]
    private static partial Regex Dispatched();

    [GeneratedRegex(@"\[ ""\$\{1:-\}"" = (?<word>[a-z]+) \]")]
    private static partial Regex InScript();

    [GeneratedRegex(@"^\| (?<name>[\w.]+) (?<version>[\d.]+) \|", RegexOptions.Multiline)]
    private static partial Regex DependencyRow();
}
