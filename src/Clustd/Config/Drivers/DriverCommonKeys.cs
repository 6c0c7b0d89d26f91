namespace Clustd.Config.Drivers;

/// <summary>The keys that every kind of driver has, in the section of one.</summary>
internal sealed class DriverCommonKeys(string section, string word)
{
    public TextKey Service { get; } = new(section, "service", TextForm.Id, ServiceConfig.DefaultName, "The service that it acts on.", "web");

    public TextKey Name { get; } = new(section, "name", TextForm.Id, null, "Name of the driver, unique on this machine.",
        $"web-{word}") { DefaultWords = $"`SERVICE-{word}`, then `SERVICE-{word}-2` and so on" };

    public NumberKey Order { get; } = new(section, "order", 0, -1000, 1000, "Drivers of a service start in ascending and stop in descending order.", "10");

    public SwitchKey Required { get; } = new(section, "required", true, "Its failure fails a promotion; false: failures are only shown.", "true");

    public DurationKey StopTimeout { get; } = new(section, "stop_timeout", TimeSpan.FromSeconds(10), TimeSpan.FromMilliseconds(10), TimeSpan.FromHours(1),
        "What it needs of the service's `stop_timeout`; more than that is refused.", "5s") { DefaultWords = "the service's" };

    public DurationKey KillTimeout { get; } = new(section, "kill_timeout", TimeSpan.FromMilliseconds(500), TimeSpan.FromMilliseconds(10), TimeSpan.FromHours(1),
        "What it needs of the service's `kill_timeout`; more than that is refused.", "200ms") { DefaultWords = "the service's" };
}
