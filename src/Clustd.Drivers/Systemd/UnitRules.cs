namespace Clustd.Drivers.Systemd;

/// <summary>Which units can be run on the master only, by what systemd says about them.</summary>
internal static class UnitRules
{
    /// <summary>Bad: it cannot be started, or not by us. Doubtful: it would run where it should not. Good: worth knowing.</summary>
    public static IEnumerable<DriverFinding> Of(UnitState unit)
    {
        string name = unit.Name;
        if (Loads(unit) is { } why)
        {
            yield return new(FindingLevel.Bad, name, why);
            yield break;
        }
        if (unit is { Type: "oneshot", RemainAfterExit: false })
            yield return new(FindingLevel.Bad, name, $"{name} is Type=oneshot: it is over as soon as it has run, and would be started again and again. Add RemainAfterExit=yes to it, or run its command by the shell driver.");
        if (unit.RefuseManualStart || unit.RefuseManualStop)
            yield return new(FindingLevel.Bad, name, $"{name} has RefuseManual{(unit.RefuseManualStart ? "Start" : "Stop")}=yes: systemd does not let anybody do that. Remove it from the unit (`systemctl edit {name}`).");
        if (unit.FileState.StartsWith("enabled", StringComparison.Ordinal))
            yield return new(FindingLevel.Doubtful, name, $"{name} is {unit.FileState}: systemd starts it at boot on every machine, before clustd has decided where it runs. `systemctl disable {name}`.");
        if (unit.TriggeredBy.Count > 0)
            yield return new(FindingLevel.Doubtful, name, $"{name} is started by {string.Join(", ", unit.TriggeredBy)} as well: that happens on machines that are not the master, too. `systemctl disable --now {string.Join(' ', unit.TriggeredBy)}`.");
        if (unit.KillMode is "none" or "process")
            yield return new(FindingLevel.Doubtful, name, $"{name} has KillMode={unit.KillMode}: systemd leaves processes of it behind when it stops. clustd kills them. Remove that setting if they are to end in their own way.");
        if (unit.Restart is not ("no" or ""))
            yield return new(FindingLevel.Good, name, $"Restart={unit.Restart}: when it ends, systemd starts it again; clustd does so only when systemd has given up");
        yield return new(FindingLevel.Good, name, $"{unit.LoadState}, {unit.Words}{(unit.FileState.Length > 0 ? $", {unit.FileState}" : "")}");
    }

    private static string? Loads(UnitState unit) => unit.LoadState switch
    {
        "loaded" => null,
        "not-found" => $"There is no unit {unit.Name} on this machine. `systemctl list-unit-files` shows what there is; correct `units`, or install it.",
        "masked" => SystemdErrors.Masked(unit.Name),
        _ => $"systemd cannot load {unit.Name} ({unit.LoadState}). See `systemctl status {unit.Name}`, or `systemd-analyze verify {unit.Name}`.",
    };
}
