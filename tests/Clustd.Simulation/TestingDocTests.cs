using System.Reflection;
using Shouldly;
using Xunit;

namespace Clustd.Simulation;

/// <summary>docs/testing.md says what there is: every fault pattern that can strike, every invariant that is checked.</summary>
public sealed class TestingDocTests
{
    [Fact]
    public void Every_fault_pattern_has_a_line_of_description() =>
        FaultPatterns.All.Select(pattern => pattern.Name).ShouldBe([.. Faults.Names.Concat(Restarts.Names).Append(DiskStalls.Pattern).Append(RollingUpgrades.Pattern).Order(StringComparer.Ordinal)]);

    [Fact]
    public void The_table_of_fault_patterns_in_the_documentation_is_theirs() => Documentation.ShouldContain(FaultPatterns.Table);

    [Fact]
    public void Every_invariant_is_in_the_documentation()
    {
        foreach (var invariant in typeof(Invariant).GetFields(BindingFlags.Static | BindingFlags.Public).Select(field => (string)field.GetRawConstantValue()!))
        {
            var (number, sentence) = (invariant[..invariant.IndexOf(' ')], invariant[(invariant.IndexOf(' ') + 1)..]);
            Documentation.ShouldContain($"| {number} | {sentence} |");
        }
    }

    private static string Documentation
    {
        get
        {
            var folder = new DirectoryInfo(AppContext.BaseDirectory);
            while (!File.Exists(Path.Combine(folder.FullName, "clustd.slnx")))
            {
                folder = folder.Parent!;
            }

            return File.ReadAllText(Path.Combine(folder.FullName, "docs/testing.md"));
        }
    }
}
