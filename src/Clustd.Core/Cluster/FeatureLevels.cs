using Clustd.Core.Raft;

namespace Clustd.Core.Cluster;

/// <summary>
/// What two versions that run side by side may say to each other. Each machine announces the level that its binary can do; the cluster's own level, in the
/// log, rises when all members can do the next one, and never falls. What needs more than that is not proposed: some member could not read it.
/// </summary>
public static class FeatureLevels
{
    /// <summary>What this binary can do. Raise it with the first command that the last release cannot read, and give each such command a line in <see cref="Of"/>.</summary>
    public const int Own = 3;

    /// <summary>From here on a leader confirms reads. That is no command: what counts is what the leader itself can do.</summary>
    public const int Barrier = 2;

    /// <summary>From here on members may change, and a snapshot may take the place of the log's older half: a follower of the first version could take over neither.</summary>
    public const int Membership = 2;

    /// <summary>From here on a daemon that is restarted on purpose may have a long lease; before, its drivers have the ordinary one.</summary>
    public const int RestartGrace = 2;

    /// <summary>From here on status says that a service starts again under its token; before, it is shown as running all the time.</summary>
    public const int StartingAgain = 2;

    /// <summary>From here on machines pass on what others cannot say to each other directly: the first version could not read it.</summary>
    public const int Relay = 2;

    /// <summary>From here on a service may require that a lost master is fenced: an older version would keep another state of it.</summary>
    public const int Fencing = 3;

    /// <summary>The cluster's level that a command needs. One line for each command that came after the first level.</summary>
    public static int Of(Command command) => command switch
    {
        // Needs nothing of the cluster: it is proposed only when all members have said that they can read it.
        Command.SetFeatureLevel => 1,
        Command.ChangeMembers => Membership,
        Command.GrantGrace or Command.EndGrace => RestartGrace,
        Command.ReportStarting => StartingAgain,
        Command.DefineServices define when define.Services.Any(service => service.RequiresFencing || service.FencesOnStopFailure) => Fencing,
        Command.Release { MayStillRun: true } or Command.ConfirmFenced => Fencing,
        _ => 1,
    };

    /// <summary>The level that a binary must have to read a command, from the wire or from its store.</summary>
    public static int ToRead(Command command) => command switch
    {
        Command.SetFeatureLevel set => set.Level,
        Command.Form form => form.FeatureLevel,
        _ => Of(command),
    };

    /// <summary>Why a binary of level `own` must not work with what its store holds, in three parts; null when it may.</summary>
    public static string? WhyNotStart(MachineId self, StoredState stored, int own)
    {
        var needed = stored.Snapshot is { } snapshot ? Math.Max(Membership, snapshot.FeatureLevel) : 1;
        foreach (var entry in stored.Entries)
        {
            needed = Math.Max(needed, ToRead(entry.Command));
        }

        return needed <= own ? null : TooOld(self, needed, own);
    }

    /// <summary>Why a machine of level `own` cannot take part in a cluster that works with level `needed`, in three parts.</summary>
    public static string TooOld(MachineId machine, int needed, int own) =>
        $"{machine} cannot take part: its clustd is older (feature level {own}) than what the cluster works with ({needed}). Install the version that the other machines run.";
}
