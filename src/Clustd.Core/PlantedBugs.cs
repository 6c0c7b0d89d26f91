using System.Diagnostics.CodeAnalysis;

namespace Clustd.Core;

/// <summary>
/// The one question that a planted bug's place asks. In a program that is released <see cref="AreOn"/> is a constant, false, and with it every such place is compiled
/// away: nothing, not even its own settings, can break a rule there. The simulator's runtime configuration is the only one that says otherwise.
/// </summary>
internal static class PlantedBugs
{
    /// <summary>The name of the switch; the program's project file sets it to false for the compiler, the simulator's sets it to true.</summary>
    public const string Switch = "Clustd.Core.PlantedBugs";

    [FeatureSwitchDefinition(Switch)]
    public static bool AreOn { get; } = AppContext.TryGetSwitch(Switch, out var isOn) && isOn;

    /// <summary>This very bug is planted.</summary>
    public static bool Is(this PlantedBug planted, PlantedBug bug) => AreOn && planted == bug;
}
