using System.Globalization;
using Clustd.Client;

namespace Clustd.ManyServices;

/// <summary>Follows all services; starts and stops nothing, and says when it was told to. One line per trigger: `1 service` or `0 service`.</summary>
internal sealed class ManyServicesDriver(DriverClient client, string host) : DriverMachine(client, host)
{
    private static readonly TextWriter Out = TextWriter.Synchronized(new StreamWriter(Console.OpenStandardOutput()) { AutoFlush = true });

    public static IReadOnlyList<string> Names(int count) => [.. Enumerable.Range(0, count).Select(number => number.ToString("'service-'0000", CultureInfo.InvariantCulture))];

    public static async Task RunAsync(string secret, string host, int count)
    {
        var driver = new ManyServicesDriver(new DriverClient { Secret = secret, Id = "many", Name = "many", Services = Names(count) }, host);
        await driver.ConnectAsync();
        await Console.In.ReadToEndAsync(); // Its parent's end is its own.
    }

    protected override Task TriggerAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        Out.WriteLine($"{(trigger.IsMaster ? 1 : 0)} {trigger.Service}");
        return Task.CompletedTask;
    }
}
