namespace Clustd.Chaos.History;

/// <summary>Everything that is done to the machines, operators' commands included. Names are those of the tables, in kebab case.</summary>
public enum FaultKind
{
    MachineKilled,
    ProcessesKilled,
    Frozen,
    CableCut,
    SilentDrop,
    OneWayDrop,
    PartialMesh,
    Loss,
    Starved,
    DiskFull,
    StoreDamaged,
    WallClockMoved,
    Stopped,
    Restarted,
    RollingRestart,
    Drained,
    Paused,
    Moved,
    LeaderMoved,
}

/// <summary>The processes of a machine that a fault is about.</summary>
[Flags]
public enum Roles
{
    None = 0,
    Daemon = 1,
    Drivers = 2,
    Guard = 4,
    App = 8,
    All = Daemon | Drivers | Guard | App,
}

/// <summary>What a fault means for the promises: the one table that says what is owed while it lasts.</summary>
public static class FaultEffects
{
    /// <summary>The machine is lost, or cut off from all others: P4's bound counts from the fault.</summary>
    public static bool LosesMachine(this FaultBegan fault) => fault.Kind switch
    {
        FaultKind.MachineKilled or FaultKind.CableCut or FaultKind.SilentDrop => true,
        FaultKind.Frozen or FaultKind.ProcessesKilled => fault.Roles.HasFlag(Roles.Daemon),
        _ => false,
    };

    /// <summary>The machine may keep its session and yet not act, and nobody else can know: nothing is owed while it is the master.</summary>
    public static bool HidesOutage(this FaultBegan fault) => fault.Kind switch
    {
        FaultKind.Frozen => !fault.Roles.HasFlag(Roles.Daemon),
        FaultKind.Starved => true,
        FaultKind.Restarted or FaultKind.RollingRestart => true, // P4's second figure, the grace, is far above what these last.
        _ => false,
    };

    /// <summary>P2 presupposes that whoever kills is not itself frozen. Only then an act may come late (P3), and the resource has to refuse it.</summary>
    public static bool FreezesKiller(this FaultBegan fault) => fault.Kind switch
    {
        FaultKind.Frozen => fault.Roles.HasFlag(Roles.Guard),
        FaultKind.Starved => true,
        _ => false,
    };

    /// <summary>While it lasts, its machines are not counted as healthy. A moved wall clock, a drain or a move makes no machine ill.</summary>
    public static bool ImpairsMachines(this FaultBegan fault) =>
        fault.Kind is not (FaultKind.WallClockMoved or FaultKind.Drained or FaultKind.Paused or FaultKind.Moved or FaultKind.LeaderMoved or FaultKind.PartialMesh);

    /// <summary>Costs no failover, by P5.</summary>
    public static bool IsHarmless(this FaultBegan fault) => fault.Kind is FaultKind.WallClockMoved or FaultKind.LeaderMoved or FaultKind.Restarted or FaultKind.RollingRestart;

    /// <summary>As in the tables: kill of driver and guard, say, is another row than that of the daemon.</summary>
    public static string Row(this FaultBegan fault) => fault.Roles is Roles.None or Roles.All || fault.Kind is FaultKind.MachineKilled
        ? Text(fault.Kind)
        : $"{Text(fault.Kind)}: {RolesText(fault.Roles)}";

    public static string RolesText(Roles roles) => roles.ToString().ToLowerInvariant().Replace(", ", "+", StringComparison.Ordinal);

    public static string Text(FaultKind kind) =>
        string.Concat(kind.ToString().Select((letter, at) => char.IsUpper(letter) ? (at > 0 ? "-" : "") + char.ToLowerInvariant(letter) : letter.ToString()));
}
