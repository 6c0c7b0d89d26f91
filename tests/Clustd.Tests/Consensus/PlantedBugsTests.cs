using System.Xml.Linq;
using Clustd.Core;
using Clustd.Tests.Config;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Consensus;

/// <summary>The simulator breaks rules on purpose. Nothing else can: what is released least of all.</summary>
public sealed class PlantedBugsTests
{
    [Fact]
    public void A_program_that_is_not_the_simulator_breaks_no_rule_even_when_it_is_told_to()
    {
        PlantedBugs.AreOn.ShouldBeFalse();
        foreach (var bug in Enum.GetValues<PlantedBug>())
        {
            bug.Is(bug).ShouldBeFalse();
        }
    }

    [Fact]
    public void The_program_s_project_makes_the_switch_a_constant_for_the_compiler()
    {
        var option = Options("src/Clustd/Clustd.csproj").Single();
        option.Attribute("Value")!.Value.ShouldBe("false");
        option.Attribute("Trim")!.Value.ShouldBe("true");
    }

    [Fact]
    public void The_simulator_alone_turns_it_on() =>
        Directory.GetFiles(ConfigTestWorld.RepositoryFolder(), "*.csproj", SearchOption.AllDirectories)
            .Where(file => Path.GetFileName(file) != "Clustd.csproj" && Options(file).Any())
            .Select(Path.GetFileName).ShouldBe(["Clustd.Simulation.csproj"]);

    private static IEnumerable<XElement> Options(string project) =>
        XDocument.Load(Path.Combine(ConfigTestWorld.RepositoryFolder(), project)).Descendants("RuntimeHostConfigurationOption").Where(option => option.Attribute("Include")?.Value == PlantedBugs.Switch);
}
