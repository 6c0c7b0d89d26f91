using System.CommandLine;
using Clustd.Http;

namespace Clustd.Cli;

/// <summary>`clustd status`: what the local daemon knows, and how old that is. Exit code 3 when nobody can decide.</summary>
internal static class StatusCommand
{
    public static Command Make(Terminal terminal)
    {
        var watch = new Option<bool>("--watch", "-w") { Description = "Go on until Ctrl-C: a live view; a line for each change where there is no terminal" };
        var wide = new Option<bool>("--wide") { Description = "Tokens as programs see them" };
        var output = CommonOptions.Output();
        var command = new Command("status", "Show machines, services and who is the master") { watch, wide, output };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            using var api = DaemonApi.Of(CommonOptions.LoadConfig(parsed));
            var asJson = parsed.GetValue(output) is not null;
            if (parsed.GetValue(watch)) return await new StatusWatch(api, terminal, parsed.GetValue(wide), asJson).RunAsync(cancellationToken);
            var (view, json) = await api.StatusAsync(cancellationToken);
            return Show(view, asJson ? json : null, terminal, DateTimeOffset.UtcNow, parsed.GetValue(wide));
        });
        return command;
    }

    /// <param name="json">What the daemon said, to be passed on as it is; null: show it to a person.</param>
    internal static int Show(StatusView view, string? json, Terminal terminal, DateTimeOffset now, bool showsWhole = false)
    {
        if (json is not null) terminal.Out.WriteLine(json);
        else StatusScreen.Write(view, terminal, now, showsWhole);

        if (WhyNoQuorum(view) is not { } why) return ExitCodes.Done;
        terminal.Complain(why);
        return ExitCodes.NoQuorum;
    }

    /// <summary>Null: there is a majority with a leader, so far as this machine knows.</summary>
    internal static string? WhyNoQuorum(StatusView view)
    {
        var warning = view.Warnings.FirstOrDefault(each => each.Code is "not-formed" or "not-known")?.Sentence;
        if (view.Cluster is null) return $"No quorum: the cluster has not formed. {warning ?? view.WaitsFor ?? "Start clustd on all machines of the list."}";
        if (!view.IsKnown || view.Leader is null or StatusView.Unknown || view.Quorum.Have < view.Quorum.Need)
        {
            var counted = view.Quorum.Have is { } have ? $"{have} of {view.Quorum.Voters} voters are here and {view.Quorum.Need} are needed" : "no leader is heard";
            return $"No quorum: {counted}. {warning ?? "Look at the other machines, and at the network between them."}";
        }

        return null;
    }
}
