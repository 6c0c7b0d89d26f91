using System.Diagnostics;
using System.Globalization;
using Clustd.ManyServices;

// A takeover of many services between real processes on this machine: ManyServices [SERVICES=1000] [CLUSTD] [LEASE=1s]. Three daemons, a driver each that
// follows every service; all run on cm-1; its daemon and its driver are killed; how long until all run elsewhere.
CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
if (args is ["driver", var driverSecret, var host, var driverServices])
{
    await ManyServicesDriver.RunAsync(driverSecret, host, int.Parse(driverServices));
    return 0;
}

var services = args.Length > 0 ? int.Parse(args[0]) : 1000;
var clustd = args.Length > 1 ? args[1] : Path.Combine(AppContext.BaseDirectory, "../../../../../src/Clustd/bin/Release/net10.0/clustd");
var lease = args.Length > 2 ? args[2] : "1s";
var secret = Convert.ToHexStringLower(System.Security.Cryptography.RandomNumberGenerator.GetBytes(32));
var folder = Directory.CreateTempSubdirectory("clustd-many-").FullName;
int[] ports = [LoopbackMachine.FreePort(), LoopbackMachine.FreePort(), LoopbackMachine.FreePort()];
LoopbackMachine[] machines = [.. ports.Select((port, index) => new LoopbackMachine($"cm-{index + 1}", Path.Combine(folder, $"cm-{index + 1}"), port, secret, services))];
try
{
    Array.ForEach(machines, machine => machine.Start(clustd, ports, lease));
    machines[0].StartDriver(); // The others' come later: a service stays where it first ran.
    var begun = Stopwatch.GetTimestamp();
    if (!await Until(() => machines[0].Starts.Count == services, TimeSpan.FromMinutes(3)))
    {
        Console.Error.WriteLine($"Only {string.Join(", ", machines.Select(machine => $"{machine.Starts.Count} on {machine.Id}"))} after 3 minutes. Logs are in {folder}.");
        return 1;
    }

    Console.WriteLine($"{services} services run on cm-1 after {Stopwatch.GetElapsedTime(begun).TotalSeconds:0.0} s");
    Array.ForEach(machines[1..], machine => machine.StartDriver());
    await Task.Delay(TimeSpan.FromSeconds(12)); // What has just settled may still move: this is over after 10 s.
    var idle = machines.Select(machine => machine.Cpu()).ToArray();
    await Task.Delay(TimeSpan.FromSeconds(10));
    for (var i = 0; i < machines.Length; i++)
    {
        var (daemon, driver) = machines[i].Cpu();
        Console.WriteLine($"idle, {machines[i].Id}: daemon {(daemon - idle[i].Daemon).TotalSeconds * 10:0.0} % of a core, driver {(driver - idle[i].Driver).TotalSeconds * 10:0.0} %");
    }

    Array.ForEach(machines, machine => machine.Forget());
    var before = machines.Select(machine => machine.Cpu()).ToArray();
    var killed = Stopwatch.GetTimestamp();
    machines[0].Kill();
    var isDone = await Until(() => machines[1].Starts.Count + machines[2].Starts.Count == services, TimeSpan.FromMinutes(2));
    var starts = machines[1].Starts.Concat(machines[2].Starts).Order().ToArray();
    Console.WriteLine($"takeover: {starts.Length} of {services}, first after {At(0):0} ms, half after {At(starts.Length / 2):0} ms, last after {At(starts.Length - 1):0} ms");
    await Task.Delay(TimeSpan.FromSeconds(1));
    for (var i = 1; i < machines.Length; i++)
    {
        var (daemon, driver) = machines[i].Cpu();
        Console.WriteLine($"{machines[i].Id}: {machines[i].Starts.Count} services; CPU {(daemon - before[i].Daemon).TotalMilliseconds:0} ms in the daemon, {(driver - before[i].Driver).TotalMilliseconds:0} ms in the driver");
    }

    Console.WriteLine($"logs: {folder}");
    return isDone ? 0 : 1;

    double At(int index) => starts.Length == 0 ? -1 : Stopwatch.GetElapsedTime(killed, starts[index]).TotalMilliseconds;
}
finally
{
    Array.ForEach(machines, machine => machine.Dispose());
}

static async Task<bool> Until(Func<bool> condition, TimeSpan limit)
{
    var begun = Stopwatch.GetTimestamp();
    while (!condition())
    {
        if (Stopwatch.GetElapsedTime(begun) > limit)
        {
            return false;
        }

        await Task.Delay(20);
    }

    return true;
}
