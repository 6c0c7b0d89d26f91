using Clustd.Drivers;
using Clustd.Drivers.Fencing;

namespace Clustd.Config.Drivers;

/// <summary>`fence`: turns another machine off before its service starts here.</summary>
internal sealed class FenceKind() : DriverKind("fence", "{ machine: cm-2, agent: fence_ipmilan }")
{
    private const string SectionName = "drivers[].fence";

    private static readonly TextKey Machine = new(SectionName, "machine", TextForm.Id, null, "`cluster.id` of the machine that it turns off; this machine itself is never.", "cm-2") { Must = true };
    private static readonly TextKey Agent = new(SectionName, "agent", TextForm.Any, null, "A fence agent, as in Debian's fence-agents: its name, or an absolute path.", "fence_ipmilan") { Must = true };
    private static readonly MapKey Arguments = new(SectionName, "options", "What the agent takes on its standard input, besides `action` and `password`.", "{ ip: 10.0.9.2, username: admin }");
    private static readonly TextKey Password = new(SectionName, "password", TextForm.Credential, null, "Handed to the agent as `password`.", "'secret'");
    private static readonly ChoiceKey Action = new(SectionName, "action", "off", ["off", "reboot"],
        "off: turned off, and seen off. reboot: the agent's word is taken that it was off in between.", "reboot");
    private static readonly DurationKey Monitor = new(SectionName, "monitor", TimeSpan.FromMinutes(1), TimeSpan.FromSeconds(1), TimeSpan.FromHours(1),
        "How often the device is asked whether it answers; shown as the driver's health.", "5m");

    private static readonly string[] Ours = ["action", "password"];

    public override IReadOnlyList<ConfigKey> OwnKeys => [Machine, Agent, Arguments, Password, Action, Monitor];

    public override DriverOptions Read(DriverReading reading)
    {
        var (section, problems) = (reading.Section, reading.Problems);
        var arguments = section.Map(Arguments);
        foreach (var key in arguments.Select(pair => pair.Key).Intersect(Ours))
        {
            problems.Error(section.PlaceOf(Arguments), $"'{key}' is in {section.Named(Arguments)}", "it has a key of its own", $"Move it out: `{key}: ...` beside `options`.");
        }
        foreach (var (key, _) in arguments.Where(pair => pair.Value.Contains('\n')))
        {
            problems.Error(section.PlaceOf(Arguments), $"'{key}' in {section.Named(Arguments)} has a line break", "the agent takes one line for each option", "Remove it.");
        }
        return new FenceDriverOptions
        {
            Machine = section.Text(Machine) ?? "",
            Agent = section.Text(Agent) ?? "",
            Arguments = new SortedDictionary<string, string>(arguments.ToDictionary(pair => pair.Key, pair => pair.Value), StringComparer.Ordinal),
            Password = reading.Secret(Password),
            Action = section.Choice(Action) == "reboot" ? FenceAction.Reboot : FenceAction.Off,
            MonitorEvery = section.Duration(Monitor),
        };
    }
}
