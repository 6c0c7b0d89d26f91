using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Clustd.Drivers.Holding;
using Clustd.Drivers.Processes;
using Clustd.Drivers.Vip;

namespace Clustd.Guard;

/// <summary>
/// <c>clustd guard</c>: a small process between driver and app that can prove that nothing of the app is left. Its stdin is a pipe that only
/// the driver holds: orders come on it (<see cref="GuardOrder"/>), its end means that the driver is dead. On stdout it says, a line each:
/// <c>started PID</c>, <c>failed WHY</c>, <c>ending WHY</c>, <c>exited CODE</c> or <c>exited signal N</c>, <c>stuck WHO</c>, <c>stopped</c>
/// (the proof), <c>dropped N</c>, and the app's own lines behind <c>| </c>. With <c>--addresses</c> it holds addresses
/// instead (<see cref="AddressGuardLoop"/>); with <see cref="GuardSpec.Holds"/> what systemd or an engine runs (<see cref="HoldLoop"/>).
/// </summary>
public static class GuardProgram
{
    public const int Stdin = 0, Stdout = 1;

    public static int Run(string[] args)
    {
        if (args is ["--launch"]) return LaunchStep.Run();

        // The guard ends when its driver ends, and not before: systemd and a terminal signal everybody at once.
        foreach (int signalNumber in (ReadOnlySpan<int>)[LinuxCalls.SIGTERM, LinuxCalls.SIGINT, LinuxCalls.SIGHUP, LinuxCalls.SIGPIPE])
            LinuxCalls.IgnoreSignal(signalNumber);
        LinuxCalls.DefaultSignal(LinuxCalls.SIGCHLD); // if it came ignored, the kernel would reap for us and no exit code could be read
        LinuxCalls.setsid();                          // the driver started us that way; by hand it may not have

        if (args is ["--addresses"]) return HoldAddresses();
        if (args.Length > 0 || ReadSpec(GuardSpecJson.Default.GuardSpec, out byte[] behindSpec) is not { } spec) return Misused();
        if (spec.Holds is { } holds) return HoldOuter(spec, holds, behindSpec);
        if (!LinuxCalls.BecomeSubreaper())
        {
            LinuxCalls.WriteAll(Stdout, Encoding.UTF8.GetBytes($"failed cannot become a subreaper: {LinuxCalls.ErrnoText}\nstopped\n"));
            return 1;
        }
        bool driverDied = new GuardLoop(spec, behindSpec, LaunchCommand(args.Length)).Run();
        if (driverDied && spec.Report is { } report) StoppedReport.Send(report, "stopped the app and saw nothing left of it");
        return 0;
    }

    private static int HoldOuter(GuardSpec spec, HoldSpec holds, byte[] behindSpec)
    {
        bool driverDied = new HoldLoop(spec, holds, behindSpec).Run();
        if (driverDied && spec.Report is { } report) StoppedReport.Send(report, $"stopped {holds.What} and saw nothing left of it");
        return 0;
    }

    private static int HoldAddresses()
    {
        if (ReadSpec(AddressGuardSpecJson.Default.AddressGuardSpec, out byte[] behindSpec) is not { } spec) return Misused();
        bool driverDied = new AddressGuardLoop(spec, behindSpec).Run();
        if (driverDied && spec.Report is { } report) StoppedReport.Send(report, "took the addresses away");
        return 0;
    }

    private static int Misused()
    {
        LinuxCalls.WriteAll(2, "clustd guard is started by drivers and takes its orders from a pipe: there is nothing to do by hand.\n"u8);
        return 2;
    }

    // This very process's command line, without what follows "guard": right for `clustd guard` as for `dotnet clustd.dll guard`.
    private static IReadOnlyList<string> LaunchCommand(int ownArguments)
    {
        string[] all = File.ReadAllText("/proc/self/cmdline").TrimEnd('\0').Split('\0');
        return [.. all[..^ownArguments], "--launch"];
    }

    private static T? ReadSpec<T>(JsonTypeInfo<T> type, out byte[] behind)
        where T : class
    {
        // Blocking: the driver writes the spec right after it has started us. What comes behind the first line are orders already.
        using var all = new MemoryStream();
        Span<byte> piece = stackalloc byte[4096];
        behind = [];
        int end = -1;
        while (end < 0)
        {
            int count = LinuxCalls.Read(Stdin, piece);
            if (count <= 0) return null;
            int newline = piece[..count].IndexOf((byte)'\n');
            if (newline >= 0) end = (int)all.Length + newline;
            all.Write(piece[..count]);
        }
        var bytes = all.GetBuffer().AsSpan(0, (int)all.Length);
        behind = bytes[(end + 1)..].ToArray();
        try
        {
            return JsonSerializer.Deserialize(bytes[..end], type);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
