using System.CommandLine;
using System.Text.RegularExpressions;
using Clustd.Cli;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Docs;

/// <summary>docs/cli.md and the command tree know the same commands, arguments and options.</summary>
public sealed partial class CliDocsTests
{
    private static readonly string Page = Repository.Text("docs/cli.md");

    private static readonly IReadOnlyList<(string Usage, Command Command)> Tree = [.. Leaves("", CommandLine.Root(new Terminal(TextWriter.Null, TextWriter.Null)))];

    [Fact]
    public void Every_command_is_documented_with_its_arguments_and_no_other()
    {
        var documented = Heading().Matches(Page).Select(match => match.Groups["usage"].Value);
        documented.Order(StringComparer.Ordinal).ShouldBe(Tree.Select(each => each.Usage).Order(StringComparer.Ordinal));
    }

    // Catches: an option that was added, renamed or taken away without the page, a short form included.
    [Fact]
    public void Every_option_is_documented_where_its_command_is_and_no_other()
    {
        foreach (var (usage, command) in Tree)
        {
            var section = Regex.Match(Page, $@"^### {Regex.Escape(usage)}\n(?<text>.*?)(?=^##|\z)", RegexOptions.Multiline | RegexOptions.Singleline).Groups["text"].Value;
            var documented = OptionRow().Matches(section).SelectMany(row => Dashed().Matches(row.Groups["names"].Value)).Select(match => match.Value);
            var real = command.Options.Where(option => option is not System.CommandLine.Help.HelpOption).SelectMany(option => option.Aliases.Prepend(option.Name));
            documented.Order(StringComparer.Ordinal).ShouldBe(real.Order(StringComparer.Ordinal), usage);
        }
    }

    [Theory]
    [InlineData(ExitCodes.Done, "0")]
    [InlineData(ExitCodes.Refused, "1")]
    [InlineData(ExitCodes.Usage, "2")]
    [InlineData(ExitCodes.NoQuorum, "3")]
    public void The_exit_codes_are_those_of_the_page(int code, string documented)
    {
        code.ToString(System.Globalization.CultureInfo.InvariantCulture).ShouldBe(documented);
        Page.ShouldContain($"\n| {documented} |");
    }

    [Theory]
    [InlineData(ExecCommand.MastershipLost)]
    [InlineData(ExecCommand.LostControl)]
    [InlineData(ExecCommand.CannotRun)]
    [InlineData(ExecCommand.NotFound)]
    public void The_codes_of_exec_are_on_its_page(int code) => Repository.Text("docs/drivers/exec.md").ShouldMatch($@"\b{code}\b");

    private static IEnumerable<(string Usage, Command Command)> Leaves(string path, Command command)
    {
        foreach (var each in command.Subcommands.Where(each => !each.Hidden))
        {
            var name = $"{path}{each.Name}";
            if (each.Subcommands.Count > 0)
            {
                foreach (var leaf in Leaves($"{name} ", each)) yield return leaf;
            }
            else
            {
                yield return (string.Concat(each.Arguments.Select(Shown).Prepend(name)), each);
            }
        }
    }

    private static string Shown(Argument argument)
    {
        var name = argument.HelpName ?? argument.Name;
        return argument.Arity.MaximumNumberOfValues > 1 ? $" {name}..." : argument.Arity.MinimumNumberOfValues == 0 ? $" [{name}]" : $" {name}";
    }

    [GeneratedRegex(@"^### (?<usage>.+)$", RegexOptions.Multiline)]
    private static partial Regex Heading();

    [GeneratedRegex(@"^\| (?<names>`-[^|]*) \|", RegexOptions.Multiline)]
    private static partial Regex OptionRow();

    [GeneratedRegex(@"(?<=`)-[\w-]+(?=`)")]
    private static partial Regex Dashed();
}
