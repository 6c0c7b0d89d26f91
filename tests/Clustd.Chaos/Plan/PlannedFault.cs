using System.Collections.Immutable;
using System.Globalization;
using Clustd.Chaos.History;

namespace Clustd.Chaos.Plan;

/// <summary>On which machine a fault is; which one that is shows when it begins.</summary>
public enum Aim
{
    /// <summary>The master of a service.</summary>
    Master,
    Leader,

    /// <summary>Any one, by number.</summary>
    Any,
}

/// <summary>A fault to be, as far as it can be said beforehand.</summary>
/// <param name="Pick">Which service, machine or variant: taken modulo how many there are.</param>
/// <param name="After">From the beginning of the episode.</param>
/// <param name="Level">0 to 1, of whatever the fault has a degree of.</param>
public sealed record PlannedFault(FaultKind Kind, Aim Aim, int Pick, int OtherPick, Roles Roles, TimeSpan After, TimeSpan For, double Level)
{
    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"+{After.TotalSeconds:0.0} s {FaultEffects.Text(Kind)}{(Roles == Roles.None ? "" : " " + FaultEffects.RolesText(Roles))}, {Aim.ToString().ToLowerInvariant()} {Pick}/{OtherPick}, {For.TotalSeconds:0.0} s, {Level:0.00}");
}

/// <summary>Faults that belong together, then quiet.</summary>
/// <param name="IsAwaited">Whether all must be well before the next one.</param>
public sealed record Episode(int Number, ImmutableArray<PlannedFault> Faults, TimeSpan Quiet, bool IsAwaited)
{
    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"{Number,3}: {string.Join("; ", Faults)}; then {(IsAwaited ? "until all is well and " : "")}{Quiet.TotalSeconds:0.0} s");
}
