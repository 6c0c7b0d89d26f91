using Clustd.Drivers;
using Clustd.Drivers.Ocf;

namespace Clustd.Config.Drivers;

/// <summary>`ocf`: a resource agent of Pacemaker's world.</summary>
internal sealed class OcfKind() : DriverKind("ocf", "{ agent: 'ocf:heartbeat:Dummy' }")
{
    public const string SectionName = "drivers[].ocf";

    private static readonly TextKey Agent = new(SectionName, "agent", TextForm.Any, null, "The resource agent, `ocf:PROVIDER:AGENT`.", "'ocf:heartbeat:IPaddr2'");
    private static readonly MapKey Parameters = new(SectionName, "parameters", "Its parameters; which there are, its meta-data says.", "{ ip: 10.0.0.9, cidr_netmask: 24 }");
    private static readonly MapKey Secrets = new(SectionName, "secrets", "Parameters that must not be shown; a value can be `file:/PATH` or `credential:NAME`, too.", "{ password: sesame }");
    private static readonly DurationKey Monitor = new(SectionName, "monitor", TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(1), TimeSpan.FromHours(1),
        "How often the agent is asked whether it runs.", "10s");
    private static readonly NumberKey CheckLevel = new(SectionName, "check_level", 0, 0, 100, "How closely it looks then: OCF_CHECK_LEVEL of its meta-data.", "10");
    private static readonly SwitchKey HoldProcesses = new(SectionName, "hold_processes", true, "What a start leaves running is killed when the lease is over; false: it lives on.", "false");
    private static readonly SwitchKey Unlisted = new(SectionName, "unlisted", false, "Also an agent of which nobody has found out whether it works without Pacemaker.", "true");
    private static readonly TextKey Root = new(SectionName, "root", TextForm.Path, "/usr/lib/ocf", "Folder that holds `resource.d` and `lib`.", "/usr/lib/ocf");

    public override IReadOnlyList<ConfigKey> OwnKeys => [Agent, Parameters, Secrets, Monitor, CheckLevel, HoldProcesses, Unlisted, Root];

    public override DriverOptions Read(DriverReading reading)
    {
        var (section, problems) = (reading.Section, reading.Problems);
        var unlisted = section.Switch(Unlisted);
        return new OcfDriverOptions
        {
            Agent = ReadAgent(section, problems, unlisted) ?? new("heartbeat", "Dummy"), // Nobody uses a file that has errors.
            Parameters = ReadParameters(reading),
            MonitorEvery = section.Duration(Monitor),
            CheckLevel = section.Number(CheckLevel),
            HoldsProcesses = section.Switch(HoldProcesses),
            Root = Path.Combine(reading.Folder, section.Text(Root)!),
        };
    }

    private static OcfAgentName? ReadAgent(ConfigSection section, ProblemList problems, bool unlisted)
    {
        var at = section.PlaceOf(Agent);
        if (section.Text(Agent) is not { } text)
        {
            if (!section.Has(Agent)) problems.Error(at, "An ocf driver names no agent", "'agent' is not given", $"Add `agent: {Agent.Example}`.");
            return null;
        }
        if (OcfAgentName.Parse(text) is not { } agent)
        {
            problems.Error(at, $"{section.Named(Agent)} is no agent", $"'{ProblemList.Show(text)}' is not of the form {OcfAgentName.Form}", $"Write `agent: {Agent.Example}`.");
            return null;
        }
        if (OcfAgentList.WhyNot(agent) is { } whyNot)
        {
            problems.Error(at, $"Agent '{agent}' does not work without Pacemaker", $"it {whyNot}", "Use another agent, or the software's own clustering.");
        }
        else if (!OcfAgentList.Has(agent) && !unlisted)
        {
            var nearest = agent.Provider == "heartbeat" ? Suggestion.Nearest(agent.Type, OcfAgentList.Working) : null;
            problems.Error(at, $"Agent '{agent}' is not in the list of those that work without Pacemaker", "nobody has examined it, and an agent that asks Pacemaker hangs or fails",
                nearest is null ? "Look whether it calls crm_*, attrd_updater or cibadmin; if not, add `unlisted: true`." : $"Did you mean 'ocf:heartbeat:{nearest}'?");
        }
        return agent;
    }

    private static SortedDictionary<string, string> ReadParameters(DriverReading reading)
    {
        var (section, problems) = (reading.Section, reading.Problems);
        var parameters = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var (name, value) in section.Map(Parameters)) Add(Parameters, name, value);
        foreach (var (name, written) in section.Map(Secrets))
        {
            if (SecretReader.Read(written, $"'{ProblemList.Show(name)}' in {section.Named(Secrets)}", section.PlaceOf(Secrets), reading.Folder, reading.Surroundings, problems) is { } value)
                Add(Secrets, name, value);
        }
        return parameters;

        void Add(MapKey key, string name, string value)
        {
            if (name.Any(c => !char.IsAsciiLetterOrDigit(c) && c != '_'))
                problems.Error(section.PlaceOf(key), $"'{ProblemList.Show(name)}' in {section.Named(key)} is no parameter", "its name has other letters than A to Z, digits and '_'", "Correct it.");
            else if (!parameters.TryAdd(name, value))
                problems.Error(section.PlaceOf(key), $"'{name}' is both in 'parameters' and in 'secrets'", "one of them would win", "Remove one of the two.");
        }
    }
}
