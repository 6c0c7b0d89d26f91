using System.Text;
using Clustd.Config;
using Shouldly;
using Xunit;
using static Clustd.Tests.Config.ConfigTestWorld;

namespace Clustd.Tests.Config;

/// <summary>What a user reads when something is wrong, word for word: messages.golden.txt.</summary>
public sealed class ConfigMessageTests
{
    [Fact]
    public void Every_mistake_gets_its_message()
    {
        var path = Path.Combine(RepositoryFolder(), "tests/Clustd.Tests/Config/messages.golden.txt");
        var expected = System.IO.File.ReadAllText(path);
        var actual = new StringBuilder();
        foreach (var (title, input) in Cases(expected, actual))
        {
            var result = Read(input);
            actual.Append($"=== {title}\n{input}--->\n");
            foreach (var problem in result.Errors) actual.Append($"{problem}\n");
            foreach (var problem in result.Warnings) actual.Append($"warning: {problem}\n");
        }
        Golden.Check(path, expected, actual.ToString());
    }

    [Theory]
    [InlineData("CLUSTD__CLUSTER__LEESE", "1s", "CLUSTD__CLUSTER__LEESE: Unknown key 'leese': 'cluster' knows secret, old_secret, id, machines, lease, witness, restart_grace. Did you mean 'lease'?")]
    [InlineData("CLUSTD__CLUSTER__LEASE", "5", "CLUSTD__CLUSTER__LEASE: 'cluster.lease' is not a duration: '5' has no unit. Write '5s' or '5ms'.")]
    [InlineData("CLUSTD__SERVICES__WEB__PREFER", "a", "CLUSTD__SERVICES__WEB__PREFER: The variable names no service: the file has no service 'web'. Name one of the services of the file, or unset the variable.")]
    [InlineData("CLUSTD__DRIVERS__RUN", "a", "CLUSTD__DRIVERS__RUN: The variable sets nothing: it is not CLUSTD__SERVER__KEY, CLUSTD__CLUSTER__KEY, CLUSTD__WATCHDOG__KEY or CLUSTD__SERVICES__NAME__KEY. Correct its name, or unset it; drivers are written in the file.")]
    public void A_wrong_variable_is_named(string name, string value, string expected) =>
        Read(File(), Machine(environment: (name, value))).Errors.ShouldHaveSingleItem().ToString().ShouldBe(expected);

    [Fact]
    public void A_message_never_holds_the_secret()
    {
        foreach (var text in new[] { "cluster: { secret: hunter22, lease: x }", "cluster: { secret: [hunter22] }", "cluster: { secret: hunter22, old_secret: hunter22 }", "cluster:\n  secret: hunter22\n  secret: hunter22\n", "cluster: { machines: ['ws://me:hunter22@a:1'] }" })
        {
            Read(text).Errors.ShouldNotBeEmpty();
            string.Join("\n", Read(text).Errors).ShouldNotContain("hunter22");
        }
    }

    private static IEnumerable<(string Title, string Input)> Cases(string golden, StringBuilder head)
    {
        var parts = ("\n" + golden).Split("\n=== ");
        head.Append(parts[0].TrimStart('\n')).Append('\n');
        foreach (var part in parts.Skip(1))
        {
            var title = part[..part.IndexOf('\n')];
            var body = part[(title.Length + 1)..];
            yield return (title, body[..body.IndexOf("--->", StringComparison.Ordinal)]);
        }
    }
}

/// <summary>Files that tests compare with, and write anew when CLUSTD_UPDATE_GOLDEN is set.</summary>
internal static class Golden
{
    public static void Check(string path, string expected, string actual)
    {
        if (Environment.GetEnvironmentVariable("CLUSTD_UPDATE_GOLDEN") is not null) System.IO.File.WriteAllText(path, actual);
        else actual.ShouldBe(expected, $"{Path.GetFileName(path)} differs: if that is meant, run the tests with CLUSTD_UPDATE_GOLDEN=1 and read the difference");
    }
}
