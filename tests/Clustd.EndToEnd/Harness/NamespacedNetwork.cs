using System.Diagnostics;

namespace Clustd.EndToEnd.Harness;

/// <summary>
/// A network namespace per machine, and one more that holds the bridge between them: nothing of it is in the host's own network, and it is gone
/// when the namespaces are.
/// </summary>
public sealed class NamespacedNetwork : IDisposable
{
    private readonly string _name;
    private readonly int _number;
    private readonly int _machines;

    public NamespacedNetwork(int number, int machines)
    {
        (_name, _number, _machines) = ($"{Leftovers.Prefix}{System.Environment.ProcessId}-{number}", number, machines);
        Ip("netns", "add", Hub);
        InHub("link", "add", "br0", "type", "bridge");
        InHub("link", "set", "br0", "up");
        for (var machine = 1; machine <= machines; machine++)
        {
            Ip("netns", "add", NameOf(machine));
            InHub("link", "add", Port(machine), "type", "veth", "peer", "name", "eth0", "netns", NameOf(machine));
            InHub("link", "set", Port(machine), "master", "br0", "up");
            Ip("-n", NameOf(machine), "address", "add", $"{AddressOf(machine)}/24", "dev", "eth0");
            Ip("-n", NameOf(machine), "link", "set", "eth0", "up");
            Ip("-n", NameOf(machine), "link", "set", "lo", "up");
        }
    }

    private string Hub => $"{_name}-hub";

    /// <summary>Why this cannot be had here; null: it can.</summary>
    public static string? WhyNot()
    {
        if (System.Environment.UserName != "root") return "needs root, to make network namespaces";
        try
        {
            var probe = $"{Leftovers.Prefix}{System.Environment.ProcessId}-probe";
            Ip("netns", "add", probe);
            try
            {
                Ip("-n", probe, "link", "add", "br0", "type", "bridge");
                Ip("-n", probe, "link", "add", "p1", "type", "veth", "peer", "name", "p2");
            }
            finally
            {
                Ip("netns", "del", probe);
            }

            return null;
        }
        catch (Exception e) when (e is IOException or System.ComponentModel.Win32Exception)
        {
            return $"needs `ip` (Debian's iproute2) and the right to make namespaces, bridges and veth pairs: {e.Message}";
        }
    }

    /// <param name="machine">From 1.</param>
    public string NameOf(int machine) => $"{_name}-{machine}";

    public string AddressOf(int machine) => $"{NetOf(_number)}.{machine}";

    /// <summary>The first three bytes of all addresses of a network.</summary>
    public static string NetOf(int number) => $"10.99.{number % 256}";

    public string MacOf(int machine) => Run("ip", "netns", "exec", NameOf(machine), "cat", "/sys/class/net/eth0/address").Trim();

    /// <summary>Runs a program inside of a namespace to its end, and gives what it wrote.</summary>
    public string In(int machine, params string[] command) => Run("ip", ["netns", "exec", NameOf(machine), .. command]);

    /// <summary>The cable is pulled: both ends see it.</summary>
    public long PullCable(string machineId)
    {
        var at = ActObserver.Now;
        InHub("link", "set", Port(Number(machineId)), "down");
        return at;
    }

    public void PlugIn(string machineId) => InHub("link", "set", Port(Number(machineId)), "up");

    /// <summary>The switch drops every frame to and from the machine, and nobody is told: no carrier is lost, no connection refused.</summary>
    public long DropSilently(string machineId)
    {
        var at = ActObserver.Now;
        Ip("netns", "exec", Hub, "bridge", "link", "set", "dev", Port(Number(machineId)), "state", "0");
        return at;
    }

    public void Forward(string machineId) => Ip("netns", "exec", Hub, "bridge", "link", "set", "dev", Port(Number(machineId)), "state", "3");

    /// <summary>What these two say to each other vanishes, and nobody is told; everybody else reaches both.</summary>
    public void DropBetween(string one, string other)
    {
        // A blackhole would refuse the sender; a neighbour that does not exist swallows its frames as a broken switch does.
        SendNowhere(one, other);
        SendNowhere(other, one);
    }

    public void ReconnectBetween(string one, string other)
    {
        Ip("-n", NameOf(Number(one)), "neighbour", "del", AddressOf(Number(other)), "dev", "eth0");
        Ip("-n", NameOf(Number(other)), "neighbour", "del", AddressOf(Number(one)), "dev", "eth0");
    }

    private void SendNowhere(string from, string to) =>
        Ip("-n", NameOf(Number(from)), "neighbour", "replace", AddressOf(Number(to)), "lladdr", "02:00:00:00:00:99", "nud", "permanent", "dev", "eth0");

    public void Dispose()
    {
        for (var machine = 1; machine <= _machines; machine++) Ip("netns", "del", NameOf(machine));
        Ip("netns", "del", Hub);
    }

    internal static void Ip(params string[] arguments) => Run("ip", arguments);

    private static string Run(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0) throw new IOException($"`{program} {string.Join(' ', arguments)}` failed: {error.Trim()}");
        return output.GetAwaiter().GetResult();
    }

    private void InHub(params string[] arguments) => Ip(["-n", Hub, .. arguments]);

    private static string Port(int machine) => $"p{machine}";

    private static int Number(string machineId) => int.Parse(machineId.Split('-')[1]);
}
