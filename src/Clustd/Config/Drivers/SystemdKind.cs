using Clustd.Drivers;
using Clustd.Drivers.Systemd;

namespace Clustd.Config.Drivers;

/// <summary>`systemd`: services of systemd that run on the master.</summary>
internal sealed class SystemdKind() : DriverKind("systemd", "{ units: [web.service] }")
{
    public const string SectionName = "drivers[].systemd";

    private static readonly ListKey Units = new(SectionName, "units", TextForm.Any,
        "Services of systemd, started in this order and stopped in the other; without a suffix, .service is meant.", "[web.service, worker.service]") { Must = true };
    private static readonly NumberKey Restarts = new(SectionName, "restarts", SystemdDriverOptions.RestartsDefault, 0, 100,
        "How often within 60 s what has ended is started again here before another machine tries.", "0");
    private static readonly SwitchKey Guard = new(SectionName, "guard", true,
        "A process that stops the units at the end of the lease, also if the driver process is killed or frozen.", "true");
    private static readonly TextKey Bus = new(SectionName, "bus", TextForm.Any, null, "D-Bus address of another systemd than the machine's, for example a user's.",
        "'unix:path=/run/user/1000/bus'") { DefaultWords = "the system's bus" };

    public override IReadOnlyList<ConfigKey> OwnKeys => [Units, Restarts, Guard, Bus];

    public override DriverOptions Read(DriverReading reading)
    {
        var (section, problems) = (reading.Section, reading.Problems);
        if (!section.Switch(Guard))
        {
            problems.Warning(section.PlaceOf(Guard), $"{section.Named(Guard)} is false",
                "if the driver process is killed or frozen, nobody stops the units, and another machine may run them, too", "Remove it, unless you know that this does no harm.");
        }
        if (section.Text(Bus) is { } bus && !bus.StartsWith("unix:", StringComparison.Ordinal))
        {
            problems.Error(section.PlaceOf(Bus), $"'{ProblemList.Show(bus)}' in {section.Named(Bus)} is no address of a bus on this machine", "it does not begin with 'unix:'", "Write it as in `bus: 'unix:path=/run/user/1000/bus'`.");
        }
        return new SystemdDriverOptions
        {
            Units = [.. Parse(section, problems)],
            RestartsMax = section.Number(Restarts),
            HasGuard = section.Switch(Guard),
            Bus = section.Text(Bus),
        };
    }

    private static IEnumerable<string> Parse(ConfigSection section, ProblemList problems)
    {
        var texts = section.List(Units);
        if (section.Has(Units) && texts.Count == 0 && section.Items(Units) is { Count: 0 })
            problems.Error(section.PlaceOf(Units), $"{section.Named(Units)} is empty", "there is nothing to start", "Write it as in `units: [web.service]`.");
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var unit in texts.Select(SystemdDriverOptions.FullName))
        {
            if (SystemdDriverOptions.WhyNotUnit(unit) is { } why)
                problems.Error(section.PlaceOf(Units), $"'{ProblemList.Show(unit)}' in {section.Named(Units)} cannot be run", why, "Name a service, as in `units: [web.service]`.");
            else if (!seen.Add(unit))
                problems.Error(section.PlaceOf(Units), $"{unit} is twice in {section.Named(Units)}", "it runs once", "Remove one of the two.");
            else
                yield return unit;
        }
    }
}
