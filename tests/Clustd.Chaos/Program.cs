using Clustd.Chaos;
using Clustd.Chaos.Checking;
using Clustd.Chaos.History;
using Clustd.Chaos.Plan;
using Clustd.Chaos.Run;
using Clustd.EndToEnd.Harness;

// ./test chaos: real machines, real faults, and a judge that reads what happened. 0: no promise was broken, 1: one was, 2: usage, 3: it cannot be done here.
const int Kept = 0, Broken = 1, WrongUsage = 2, Impossible = 3;
try
{
    var arguments = Arguments.Parse(args);
    if (arguments.IsPlan) return Plan(arguments);
    if (arguments.Check is { } file) return Report(HistoryFile.Read(file), directory: null);
    if (NamespacedNetwork.WhyNot() is { } why)
    {
        Console.Error.WriteLine($"Cannot run chaos here: it {why}");
        return Impossible;
    }

    var directory = Directory.CreateDirectory(Path.Combine(Root(), "artifacts", "chaos", $"{DateTime.UtcNow:yyyyMMdd-HHmmss}-seed-{arguments.Seed}")).FullName;
    Console.WriteLine($"chaos: seed {arguments.Seed}, {arguments.Minutes} minutes, {ClustdProgram.Path}; all that happens goes to {directory}");
    using var interrupted = new CancellationTokenSource();
    Console.CancelKeyPress += (_, pressed) =>
    {
        pressed.Cancel = true;
        Console.WriteLine("This cluster's episode is ended, then comes the report.");
        interrupted.Cancel();
    };
    return Report(await new ChaosRun(arguments, directory, interrupted.Token).RunAsync(), directory);
}
catch (Exception e) when (e is UsageException or InvalidDataException or FileNotFoundException)
{
    Console.Error.WriteLine(e.Message);
    return WrongUsage;
}

static int Plan(Arguments arguments)
{
    Console.WriteLine($"seed {arguments.Seed}");
    for (var round = 0; round < 2; round++)
    {
        var plan = Schedule.Round(arguments.Seed, round, arguments.Sizes);
        Console.WriteLine($"cluster {round + 1}: {plan.Machines} machines{(plan.HasOwnWallClock ? ", the first daemon with a wall clock of its own" : "")}");
        foreach (var episode in plan.Episodes.Take(25)) Console.WriteLine(episode);
    }

    return Kept;
}

static int Report(IReadOnlyList<HistoryRecord> history, string? directory)
{
    var verdict = Checker.Check(history);
    var table = ChaosTable.Of(history, verdict);
    Console.WriteLine($"\n{table}");
    foreach (var miss in verdict.Misses)
        Console.WriteLine($"Bound missed{(miss.IsExplainedByLoad ? ", as the load of this machine explains" : "")}: '{miss.Service}' in cluster {miss.Round + 1}, {miss.TookUs / 1e6:0.000} s:\n{miss.Story}");
    foreach (var violation in verdict.Violations) Console.WriteLine($"VIOLATION {violation.Kind}, cluster {violation.Round + 1}: {violation.Sentence}");
    if (directory is not null)
    {
        File.WriteAllText(Path.Combine(directory, "table.md"), table);
        Console.WriteLine($"History and table{(verdict.Violations.IsEmpty ? "" : ", and all machines' logs,")} are in {directory}; `./test chaos --check {Path.Combine(directory, "history.jsonl")}` judges it again.");
    }

    Console.WriteLine(verdict.Violations.IsEmpty ? "No promise was broken." : $"{verdict.Violations.Length} violations.");
    return verdict.Violations.IsEmpty ? Kept : Broken;
}

static string Root()
{
    var directory = new DirectoryInfo(AppContext.BaseDirectory);
    while (directory is not null && !File.Exists(Path.Combine(directory.FullName, "clustd.slnx"))) directory = directory.Parent;
    return directory?.FullName ?? Path.GetTempPath();
}
