using System.Text.Json;
using Clustd.Core.Raft;
using Clustd.Http;

namespace Clustd.Cli;

/// <summary>What the cluster answered to a request, on its way to the terminal.</summary>
internal static class Decision
{
    /// <summary>Prints the sentence, or the answer as JSON, and returns the exit code.</summary>
    /// <exception cref="CommandException">It was refused; the message is the cluster's own sentence.</exception>
    public static int Show(RequestOutcome outcome, bool json, Terminal terminal)
    {
        if (json) terminal.Out.WriteLine(JsonSerializer.Serialize(outcome, ApiJson.Default.RequestOutcome));
        if (!outcome.Done) throw new CommandException(ExitCodes.Refused, outcome.Sentence);
        if (!json) terminal.Out.WriteLine(outcome.Sentence);
        return ExitCodes.Done;
    }
}
