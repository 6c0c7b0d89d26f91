using Clustd.Core;

namespace Clustd.Simulation;

/// <summary>One planted bug: which rule it breaks, by which invariant it must be caught, and within how many seeds of which world.</summary>
/// <param name="Bug">The switch.</param>
/// <param name="Rule">The number in docs/guarantees.md, or the part that keeps the rule.</param>
/// <param name="What">What goes wrong, in a few words.</param>
/// <param name="CaughtBy">The invariant; null: by none, because another rule stands behind this one, and <paramref name="Why"/> says which.</param>
/// <param name="Limit">Within so many seeds, from 1 on.</param>
internal sealed record ZooBug(PlantedBug Bug, string Rule, string What, string? CaughtBy, ulong Limit)
{
    /// <summary>Machines; null: as the seed draws them.</summary>
    public int? Machines { get; init; }

    /// <summary>What is made of the world that the seed draws; null: nothing.</summary>
    public Func<Scenario, Scenario>? World { get; init; }

    /// <summary>That world in a few words.</summary>
    public string In { get; init; } = "any world";

    /// <summary>Why none catches it, or what else is worth knowing.</summary>
    public string Why { get; init; } = "";

    /// <summary>Looked for in every test run; the others by `./test zoo` only.</summary>
    public bool IsQuick { get; init; } = true;

    public Scenario ScenarioOf(ulong seed, PlantedBug bug)
    {
        var scenario = Scenario.FromSeed(seed, Machines, bug);
        return World is null ? scenario : World(scenario);
    }
}
