using Clustd.Drivers;
using Clustd.Drivers.Shell;

namespace Clustd.Config.Drivers;

/// <summary>`shell`: a supervised process, or a script at each change. Never both.</summary>
internal sealed class ShellKind() : DriverKind("shell", "{ run: ./web }")
{
    public const string SectionName = "drivers[].shell";

    private static readonly TextKey Run = new(SectionName, "run", TextForm.Any, null,
        "Command to supervise while this machine is master; killed for sure when the lease is lost.", "'./web --port 8080'");
    private static readonly TextKey Start = new(SectionName, "start", TextForm.Any, null, "Command for becoming master; instead of `run`.", "./start.sh");
    private static readonly TextKey Stop = new(SectionName, "stop", TextForm.Any, null, "Command for no longer being master, also at start; with `start`.", "./stop.sh");
    private static readonly TextKey Cwd = new(SectionName, "cwd", TextForm.Path, null, "Working directory of the commands.",
        "/srv/web") { DefaultWords = "the working directory of `clustd drivers`" };
    private static readonly MapKey Env = new(SectionName, "env", "Added to the environment of the commands.", "{ MY_VAR: 2 }");
    private static readonly TextKey Shell = new(SectionName, "shell", TextForm.Path, "/bin/sh", "The shell that gets the commands, as `SHELL -c COMMAND`.", "/bin/bash");
    private static readonly TextKey User = new(SectionName, "user", TextForm.Any, null, "User to run the commands as; needs root.",
        "www-data") { DefaultWords = "the user of `clustd drivers`" };

    public override IReadOnlyList<ConfigKey> OwnKeys => [Run, Start, Stop, Cwd, Env, Shell, User];

    public override DriverOptions Read(DriverReading reading)
    {
        var (section, problems) = (reading.Section, reading.Problems);
        var driver = new ShellDriverOptions
        {
            Run = section.Text(Run),
            Start = section.Text(Start),
            Stop = section.Text(Stop),
            WorkingDirectory = section.Text(Cwd),
            Environment = new SortedDictionary<string, string>(section.Map(Env).ToDictionary(pair => pair.Key, pair => pair.Value), StringComparer.Ordinal),
            Shell = section.Text(Shell)!,
            User = section.Text(User),
        };
        if (!section.Has(Run) && !section.Has(Start) && !section.Has(Stop))
        {
            problems.Error(section.PlaceOf(Run), "A shell driver has nothing to do", "it has neither 'run' nor 'start' and 'stop'",
                "Add `run: COMMAND` for a process, or `start: COMMAND` and `stop: COMMAND`.");
        }
        else if (section.Has(Run) && (section.Has(Start) || section.Has(Stop)))
        {
            problems.Error(section.PlaceOf(Run), "A shell driver has both 'run' and 'start' or 'stop'", "either clustd supervises a process, or it calls scripts",
                "Keep 'run', and put the scripts into a driver of their own.");
        }
        else if (section.Has(Start) && !section.Has(Stop))
        {
            problems.Warning(section.PlaceOf(Start), "A shell driver has 'start' but no 'stop'",
                "nothing ends what 'start' began when another machine takes over", "Add `stop: COMMAND`, or use `run: COMMAND`.");
        }
        return driver;
    }
}
