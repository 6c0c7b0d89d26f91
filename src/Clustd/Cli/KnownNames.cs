using System.CommandLine;
using System.CommandLine.Completions;
using Clustd.Config;
using Clustd.Http;

namespace Clustd.Cli;

/// <summary>
/// Arguments and options that take a name of the cluster, and what a shell may offer for them: the local daemon is asked, quickly, and without it
/// there is nothing to offer.
/// </summary>
internal static class KnownNames
{
    // Somebody has pressed a key and waits.
    private static readonly TimeSpan Limit = TimeSpan.FromMilliseconds(400);

    public static Argument<string> Machine(string description)
    {
        var machine = new Argument<string>("MACHINE") { Description = description };
        machine.CompletionSources.Add(context => Names(context, Machines));
        return machine;
    }

    public static Argument<string?> MachineOrNone(string description)
    {
        var machine = new Argument<string?>("MACHINE") { Description = description, Arity = ArgumentArity.ZeroOrOne };
        machine.CompletionSources.Add(context => Names(context, Machines));
        return machine;
    }

    public static Argument<string> Service(string description)
    {
        var service = new Argument<string>("SERVICE") { Description = description };
        service.CompletionSources.Add(context => Names(context, Services));
        return service;
    }

    public static Argument<string?> ServiceOrMachineOrEvent(string description)
    {
        var subject = new Argument<string?>("SERVICE|EVENT") { Description = description, Arity = ArgumentArity.ZeroOrOne };
        subject.CompletionSources.Add(context => Names(context, view => [.. Services(view), .. Machines(view)]));
        return subject;
    }

    public static Option<string?> ServiceOption(string description)
    {
        var service = new Option<string?>("--service") { Description = description, HelpName = "NAME" };
        service.CompletionSources.Add(context => Names(context, Services));
        return service;
    }

    private static IEnumerable<string> Machines(StatusView view) => view.Machines.Select(machine => machine.Id);

    private static IEnumerable<string> Services(StatusView view) => view.Services.Select(service => service.Name);

    private static IEnumerable<string> Names(CompletionContext context, Func<StatusView, IEnumerable<string>> of)
    {
        try
        {
            var result = ConfigLoader.LoadDrivers(context.ParseResult.GetValue(CommonOptions.Config), ConfigSurroundings.OfThisProcess());
            if (result.Config is not { } file) return [];
            using var api = DaemonApi.Of(file);
            using var limit = new CancellationTokenSource(Limit);
            return [.. of(api.StatusAsync(limit.Token).GetAwaiter().GetResult().View)];
        }
        catch (Exception e) when (e is CommandException or OperationCanceledException or InvalidOperationException)
        {
            return []; // A shell that completes has no place for an error; the command itself will tell.
        }
    }
}
