namespace Clustd.Cli;

/// <summary>What the commands end with. Part of the interface: scripts branch on them.</summary>
public static class ExitCodes
{
    public const int Done = 0;

    /// <summary>The cluster or the daemon refused, or something failed.</summary>
    public const int Refused = 1;

    /// <summary>A wrong command line or a wrong configuration.</summary>
    public const int Usage = 2;

    /// <summary>No daemon answers, or it has no quorum.</summary>
    public const int NoQuorum = 3;

    /// <summary>`run` ended for a restart: start it again soon, what runs here goes on meanwhile. EX_TEMPFAIL of sysexits.h.</summary>
    public const int StartAgain = 75;
}

/// <summary>A command cannot go on. The message has three parts: what happened; why; what to do.</summary>
public sealed class CommandException(int exitCode, string message, Exception? inner = null) : Exception(message, inner)
{
    public int ExitCode { get; } = exitCode;
}
