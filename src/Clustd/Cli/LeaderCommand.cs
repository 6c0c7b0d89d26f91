using System.CommandLine;
using System.Text.Json;
using Clustd.Core.Raft;
using Clustd.Http;

namespace Clustd.Cli;

/// <summary>`clustd leader`: who leads the consensus. `clustd leader cm-2`: hands that over, which costs no service anything.</summary>
internal static class LeaderCommand
{
    private static readonly TimeSpan AskAgainAfter = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(10); // An election takes a fraction of a lease.

    public static Command Make(Terminal terminal)
    {
        var machine = KnownNames.MachineOrNone("Who is to lead; without it, who does is shown");
        var output = CommonOptions.Output();
        var command = new Command("leader", "Show who leads the consensus, or hand that over (no service moves)") { machine, output };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            using var api = DaemonApi.Of(CommonOptions.LoadConfig(parsed));
            var leads = parsed.GetValue(machine) is { } target ? await HandOverAsync(api, target, cancellationToken) : await ShowAsync(api, cancellationToken);
            terminal.Out.WriteLine(parsed.GetValue(output) is null ? leads.Sentence() : JsonSerializer.Serialize(leads, CliJson.Default.LeaderView));
            return ExitCodes.Done;
        });
        return command;
    }

    private static async Task<LeaderView> ShowAsync(DaemonApi api, CancellationToken cancellationToken)
    {
        var view = (await api.StatusAsync(cancellationToken)).View;
        return StatusCommand.WhyNoQuorum(view) is { } why ? throw new CommandException(ExitCodes.NoQuorum, why) : new LeaderView(view.Leader!, view.Term, null);
    }

    private static async Task<LeaderView> HandOverAsync(DaemonApi api, string target, CancellationToken cancellationToken)
    {
        var before = await ShowAsync(api, cancellationToken);
        if (before.Leader == target) return before;
        var outcome = await api.AskAsync("transfer-leadership", new TransferLeadershipBody { Target = target }, ApiJson.Default.TransferLeadershipBody, cancellationToken);
        if (!outcome.Done) throw new CommandException(ExitCodes.Refused, outcome.Sentence);

        var since = System.Diagnostics.Stopwatch.GetTimestamp();
        var asked = since;
        while (true)
        {
            var view = (await api.StatusAsync(cancellationToken)).View;
            if (view.IsKnown && view.Leader == target) return new LeaderView(target, view.Term, before.Leader);
            if (System.Diagnostics.Stopwatch.GetElapsedTime(since) > Limit)
            {
                throw new CommandException(ExitCodes.Refused, $"{target} was told to take over but does not lead after {Limit.TotalSeconds:0} s: {view.Leader ?? "nobody"} does. Look at `clustd status`, then ask again.");
            }

            if (System.Diagnostics.Stopwatch.GetElapsedTime(asked) > AskAgainAfter)
            {
                // Told, it stands for election once; whoever stands beside it, or a disk that is busy just then, may keep it from winning. What is refused now may be granted next time.
                asked = System.Diagnostics.Stopwatch.GetTimestamp();
                await api.AskAsync("transfer-leadership", new TransferLeadershipBody { Target = target }, ApiJson.Default.TransferLeadershipBody, cancellationToken);
            }

            await Task.Delay(LookEvery, cancellationToken);
        }
    }
}

/// <summary>`leader -o json`. From: who led before, if it was handed over now.</summary>
internal sealed record LeaderView(string Leader, long Term, string? From)
{
    public string Sentence() => From is null ? $"{Leader} leads in term {Term}." : $"leader: {From} -> {Leader}, term {Term}; no service moved";
}
