using System.Globalization;
using Clustd.CoreCost;

// What the decisions alone cost: no disk, network or JSON. Usage: CoreCost [SERVICES...], default 1 10 1000. One thread, a few seconds each.
CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
var counts = args.Length == 0 ? [1, 10, 1000] : args.Select(int.Parse).ToArray();
Measurement.Idle(1, driver: true); // The first run pays for the JIT.
Console.WriteLine("| idle, lease 1 s, heartbeat 50 ms | leader: µs, bytes per heartbeat | master: µs, bytes | standby: µs, bytes |");
Console.WriteLine("|---|---|---|---|");
Console.WriteLine(Measurement.Idle(1, driver: false));
foreach (var count in counts)
{
    Console.WriteLine(Measurement.Idle(count, driver: true));
}

Measurement.Takeover(10);
Console.WriteLine();
Console.WriteLine("| takeover of services on one machine | until all run, after the kill | leader: CPU ms, steps, MB | the others: CPU ms, steps, MB each |");
Console.WriteLine("|---|---|---|---|");
foreach (var count in counts)
{
    Console.WriteLine(Measurement.Takeover(count));
}
