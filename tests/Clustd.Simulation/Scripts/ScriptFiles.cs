namespace Clustd.Simulation.Scripts;

/// <summary>The scripts of Scenarios/, where they lie in the repository.</summary>
internal static class ScriptFiles
{
    public static IEnumerable<string> Names => Directory.EnumerateFiles(Folder, "*.txt").Select(path => Path.GetFileNameWithoutExtension(path)).Order(StringComparer.Ordinal);

    public static ScriptText Read(string name) => ScriptText.Parse($"Scenarios/{name}.txt", File.ReadAllText(PathOf(name)));

    /// <summary>Runs them all, or those whose name contains `like`, and writes down what happens; one whose expectations do not hold stays as it is. Returns the exit code.</summary>
    public static int Rewrite(string like)
    {
        var failed = 0;
        foreach (var name in Names.Where(name => name.Contains(like, StringComparison.Ordinal)))
        {
            try
            {
                var text = Read(name);
                var story = Script.Read(text).Play();
                var isNew = story != text.Golden;
                if (isNew)
                {
                    File.WriteAllText(PathOf(name), story);
                }

                Console.WriteLine($"{name}: {(isNew ? "rewritten" : "as it was")}");
            }
            catch (ScriptException wrong)
            {
                failed++;
                Console.WriteLine($"{name}: NOT rewritten: {wrong.Message}");
            }
        }

        File.WriteAllText(IndexPath, Index);
        return failed == 0 ? 0 : 1;
    }

    /// <summary>What stands beside the scripts: how to read and write them, and a line for each.</summary>
    public static string Index =>
        $"""
        # Scenarios

        What happens when: each file is a story that is played on the simulator's world by every test run, with its invariants checked after every step, and must go as it
        is written. A line is prose (`#`), a command, or (indented) what came of the command above it: what clustd tells people, what its drivers are told, what acts for a
        service under which token. Times are seconds since the cluster was well; `yes, after` counts from the last thing that was done.

        To add one, write prose and commands, and have the rest written: `./test sim --rewrite-scenarios [NAME]`; then read what it says. `./test sim --scenario NAME`
        tells one with all that the machines say to each other. The commands:

        ```
        {string.Join('\n', Verb.All.Select(verb => verb.Usage))}
        ```

        | story | |
        |---|---|
        {string.Join('\n', Names.Select(name => $"| [{name}]({name}.txt) | {Read(name).Golden.Split('\n')[0].TrimStart('#', ' ')} |"))}

        """;

    public static string IndexPath => Path.Combine(Folder, "README.md");

    /// <summary>Plays one with all that happens in its world, as `--seed` does. Returns the exit code.</summary>
    public static int Tell(string name)
    {
        using var output = new StreamWriter(Console.OpenStandardOutput());
        try
        {
            Script.Read(Read(name)).Play(live: output);
            return 0;
        }
        catch (ScriptException wrong)
        {
            output.WriteLine(wrong.Message);
            return 1;
        }
    }

    private static string PathOf(string name) => Path.Combine(Folder, $"{name}.txt");

    private static string Folder
    {
        get
        {
            var folder = new DirectoryInfo(AppContext.BaseDirectory);
            while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "clustd.slnx")))
            {
                folder = folder.Parent;
            }

            return Path.Combine(folder?.FullName ?? throw new DirectoryNotFoundException($"No folder above {AppContext.BaseDirectory} is the repository. Run the tests where they were built."), "tests", "Clustd.Simulation", "Scenarios");
        }
    }
}
