using System.Runtime.InteropServices;
using Clustd.Benchmarks;
using Clustd.Benchmarks.Measurements;
using Clustd.Benchmarks.Record;
using Clustd.Benchmarks.Subjects;
using Clustd.EndToEnd.Harness;

// Started by `benchmarks/run`, which builds what is measured and says where it is.
if (Arguments.Parse(args, out var arguments) is { } mistake)
{
    Console.Error.WriteLine($"{mistake}\n{Arguments.Usage}");
    return 2;
}

var results = Path.Combine(arguments.Root, "benchmarks", "RESULTS.md");
var journalPath = Path.Combine(arguments.Root, "artifacts", "benchmarks", "runs.jsonl");
if (arguments.ReportOnly)
{
    File.WriteAllText(results, ResultsDocument.Write(Journal.Newest(journalPath)));
    return 0;
}

if (NamespacedNetwork.WhyNot() is { } reason)
{
    Console.Error.WriteLine($"Cannot measure: it {reason}. Run it as root on Linux with iproute2.");
    return 1;
}

// Ctrl-C and SIGTERM end the run that is under way and clean up; what was measured by then stays.
using var stop = new CancellationTokenSource();
void Stop(PosixSignalContext context)
{
    context.Cancel = true;
    stop.Cancel();
}

using var interrupted = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
using var terminated = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);

var session = new Session(
    DateTimeOffset.Now, arguments.Commit, arguments.Command, arguments.AppSentence, Math.Round(await MachineFacts.BusyAsync(TimeSpan.FromSeconds(3)), 1));
var journal = new Journal(journalPath, session);
var bench = new Bench(journal, new Tools(arguments.Probe, arguments.App), arguments.Runs, Console.Out);
bench.Say($"{MachineFacts.Describe()}; processors {session.BusyBefore} % busy before anything of ours runs; commit {session.Commit}; {ClustdProgram.Path}");
foreach (var measurement in Suite.Of(bench, arguments, bench.Say))
{
    try
    {
        await measurement(stop.Token);
    }
    catch (OperationCanceledException) when (stop.IsCancellationRequested)
    {
        bench.Say("Stopped. What was measured by then is in the results.");
        break;
    }
    catch (Exception e)
    {
        // One measurement that cannot be made, for example because no cluster forms, is no reason to give up the others.
        bench.Say($"FAILED: {e.Message}");
    }
    finally
    {
        File.WriteAllText(results, ResultsDocument.Write(Journal.Newest(journalPath)));
    }
}

bench.Say($"Results: {results}");
return stop.IsCancellationRequested ? 130 : 0;
