using System.CommandLine;
using System.Text.Json;
using Clustd.Config;
using Clustd.Drivers;
using Clustd.Watchdogs;

namespace Clustd.Cli;

/// <summary>`clustd driver test [NAME]`: would this machine's drivers be able to start, without starting them.</summary>
internal static class DriverCommand
{
    // For each driver: somebody waits, and a server that does not answer is a finding.
    private static readonly TimeSpan LimitDefault = TimeSpan.FromSeconds(20);

    public static Command Make(Terminal terminal) => new("driver", "Test the drivers of this machine's file without starting them") { Test(terminal) };

    private static Command Test(Terminal terminal)
    {
        var name = new Argument<string?>("NAME") { Description = "The driver's name; without it: all", Arity = ArgumentArity.ZeroOrOne };
        name.CompletionSources.Add(context => Load(context.ParseResult).Config is { } file ? Names(file) : []);
        var output = CommonOptions.Output();
        var command = new Command("test", "Find out what a driver needs and whether it is there. Nothing is started, stopped or changed") { name, output };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var result = Load(parsed);
            var file = result.Config ?? throw new CommandException(ExitCodes.Usage, string.Join("\n       ", result.Errors));
            var chosen = parsed.GetValue(name);
            var watchdog = chosen is null or WatchdogTest.Name ? file.Watchdog : null;
            // A driver may have that very name: then both are meant.
            var drivers = watchdog is not null && !file.Drivers.Any(driver => chosen is null || driver.EffectiveName == chosen) ? [] : Chosen(file, chosen);
            return await RunAsync(drivers, file, parsed.GetValue(output) is not null, terminal, cancellationToken, watchdog);
        });
        return command;
    }

    private static DriverFileResult Load(ParseResult parsed) => ConfigLoader.LoadDrivers(parsed.GetValue(CommonOptions.Config), ConfigSurroundings.OfThisProcess());

    private static IReadOnlyList<DriverOptions> Chosen(DriverFileConfig file, string? name)
    {
        if (file.Drivers.Count == 0) throw new CommandException(ExitCodes.Usage, $"There is nothing to test: {file.Path ?? "the configuration"} lists no drivers. Add `drivers: [ shell: {{ run: COMMAND }} ]`.");
        if (name is null) return [.. file.Drivers.OrderBy(driver => driver.Order)];
        if (file.Drivers.FirstOrDefault(driver => driver.EffectiveName == name) is { } found) return [found];
        var names = Names(file).ToList();
        var nearest = Suggestion.Nearest(name, names) is { } near ? $"Did you mean '{near}'?" : "Name one of them, or none to test all.";
        throw new CommandException(ExitCodes.Usage, $"There is no driver '{ProblemList.Show(name)}': {file.Path ?? "the configuration"} has {string.Join(", ", names)}. {nearest}");
    }

    private static IEnumerable<string> Names(DriverFileConfig file) =>
        [.. file.Drivers.Select(driver => driver.EffectiveName), .. file.Watchdog is null ? [] : (string[])[WatchdogTest.Name]];

    internal static async Task<int> RunAsync(
        IReadOnlyList<DriverOptions> drivers, DriverFileConfig file, bool json, Terminal terminal, CancellationToken cancellationToken, WatchdogConfig? watchdog = null)
    {
        var views = new List<DriverTestView>();
        foreach (var (index, options) in drivers.Index())
        {
            if (!json) terminal.Out.WriteLine($"{(index > 0 ? "\n" : "")}{terminal.Bold(options.EffectiveName, terminal.ColourOut)} ({options.Kind}, service {options.Service ?? ServiceConfig.DefaultName}, {(options.StopsForCertain ? "stops for certain" : "stops by best effort")})");
            var findings = new List<FindingView>();
            await foreach (var finding in FindAsync(options, file, cancellationToken))
            {
                findings.Add(new FindingView(Word(finding.Level), finding.Subject, finding.Text));
                if (!json) terminal.Out.WriteLine(Line(finding, terminal));
            }

            views.Add(new DriverTestView(options.EffectiveName, options.Kind, options.Service ?? ServiceConfig.DefaultName, options.StopsForCertain, findings));
        }

        if (watchdog is not null)
        {
            if (!json) terminal.Out.WriteLine($"{(views.Count > 0 ? "\n" : "")}{terminal.Bold(WatchdogTest.Name, terminal.ColourOut)} ({watchdog.Device}, {ConfigDuration.Text(watchdog.Timeout)}, of this machine)");
            var findings = WatchdogTest.Find(watchdog, new WatchdogFacts()).ToList();
            if (!json) findings.ForEach(finding => terminal.Out.WriteLine(Line(finding, terminal)));
            views.Add(new DriverTestView(WatchdogTest.Name, WatchdogTest.Name, null, true, [.. findings.Select(finding => new FindingView(Word(finding.Level), finding.Subject, finding.Text))]));
        }

        if (json) terminal.Out.WriteLine(JsonSerializer.Serialize(views, CliJson.Default.ListDriverTestView));
        return views.Any(view => view.Findings.Any(finding => finding.Level == Word(FindingLevel.Bad))) ? ExitCodes.Refused : ExitCodes.Done;
    }

    private static async IAsyncEnumerable<DriverFinding> FindAsync(DriverOptions options, DriverFileConfig file, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(LimitDefault);
        var host = new DriverHost { Address = file.Host.Authority, Secret = file.Secret };
        await using var driver = BuiltInDrivers.Create(options, host);
        if (driver is not ITestableDriver testable)
        {
            yield return new DriverFinding(FindingLevel.Doubtful, "test", $"A driver of the kind '{options.Kind}' has no test: it has nothing that could be looked at before a start.");
            yield break;
        }

        await using var found = testable.TestAsync(limit.Token).GetAsyncEnumerator(limit.Token);
        while (true)
        {
            DriverFinding? last = null;
            var more = false;
            try
            {
                more = await found.MoveNextAsync();
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                last = new DriverFinding(FindingLevel.Bad, "time", $"The test did not end within {LimitDefault.TotalSeconds:0} s: something does not answer. See what stands above, and try it by hand.");
            }

            if (last is not null) yield return last;
            if (!more) yield break;
            yield return found.Current;
        }
    }

    private static string Line(DriverFinding finding, Terminal terminal)
    {
        const int Indent = 10;
        var word = Word(finding.Level).PadRight(Indent - 2);
        var painted = finding.Level switch
        {
            FindingLevel.Good => terminal.Green(word, terminal.ColourOut),
            FindingLevel.Doubtful => terminal.Yellow(word, terminal.ColourOut),
            _ => terminal.Red(word, terminal.ColourOut),
        };
        return $"  {painted}{WrappedText.Of($"{finding.Subject}: {finding.Text}", terminal.Width, Indent)}";
    }

    private static string Word(FindingLevel level) => level switch { FindingLevel.Good => "good", FindingLevel.Doubtful => "doubt", _ => "bad" };
}

/// <summary>`driver test -o json` is a list of these.</summary>
/// <param name="Service">null: the machine's watchdog, which is of all.</param>
internal sealed record DriverTestView(string Name, string Kind, string? Service, bool StopsForCertain, IReadOnlyList<FindingView> Findings);

/// <param name="Level">good, doubt or bad.</param>
internal sealed record FindingView(string Level, string Subject, string Text);
