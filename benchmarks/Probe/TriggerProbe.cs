using System.Globalization;
using Clustd.Client;

namespace Clustd.Benchmarks.Probe;

/// <summary>
/// A driver that acknowledges at once and says when: <c>MACHINE SERVICE TOKEN true|false AT_US</c>. A start is dated when the call begins, a stop just before it
/// is acknowledged: between the two nobody is the master.
/// </summary>
internal sealed class TriggerProbe(DriverClient client, string host, LinePipe pipe, string machine) : DriverMachine(client, host)
{
    /// <summary>A registration may name some more than these; beyond that, one process connects several times.</summary>
    public const int ServicesPerConnection = 1_000;

    public static async Task RunAsync(string host, string secret, LinePipe pipe, string machine, int services)
    {
        // Before the shell driver at a start, behind it at a stop: what it says are the moments at which clustd itself begins and ends.
        var client = new DriverClient { Secret = secret, Id = "probe", Order = -1 };
        List<TriggerProbe> probes = services == 0
            ? [new TriggerProbe(client, host, pipe, machine)]
            : [.. Enumerable.Range(1, services).Select(NameOf).Chunk(ServicesPerConnection)
                .Select((names, index) => new TriggerProbe(client with { Id = NameOfConnection(index), Services = names }, host, pipe, machine))];
        await Task.WhenAll(probes.Select(probe => probe.ConnectAsync()));
        await Task.Delay(Timeout.Infinite);
    }

    protected override Task TriggerAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        var at = LinePipe.Now;
        pipe.Write(string.Create(CultureInfo.InvariantCulture, $"{machine} {trigger.Service} {trigger.Token} {(trigger.IsMaster ? "true" : "false")} {at}"));
        return Task.CompletedTask;
    }

    // As Clustd.Benchmarks writes them into the file.
    private static string NameOf(int number) => string.Create(CultureInfo.InvariantCulture, $"s{number:0000}");

    private static string NameOfConnection(int index) => string.Create(CultureInfo.InvariantCulture, $"probe-{index + 1}");
}
