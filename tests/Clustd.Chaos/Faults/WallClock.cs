using System.Globalization;
using Clustd.EndToEnd.Harness;

namespace Clustd.Chaos.Faults;

/// <summary>
/// The wall clock (CLOCK_REALTIME, and with it file times as the daemon sees them) of one daemon, and of nothing else, by libfaketime, which reads the offset anew at
/// every look. The monotonic clocks, which leases are counted by, are left alone, and so is the harness's.
/// </summary>
internal sealed class WallClock
{
    private static readonly string[] Places = ["/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"];
    private readonly string _file;

    /// <summary>From its next start on, this machine's daemon has a wall clock of its own. Its drivers are started apart: they have none.</summary>
    public WallClock(Machine machine)
    {
        _file = Path.Combine(machine.Home, "wall-clock");
        Move(TimeSpan.Zero);
        machine.RunOptions = ["--no-drivers"];
        machine.DaemonEnvironment["LD_PRELOAD"] = Library!;
        machine.DaemonEnvironment["FAKETIME_TIMESTAMP_FILE"] = _file;
        machine.DaemonEnvironment["FAKETIME_NO_CACHE"] = "1";
        machine.DaemonEnvironment["FAKETIME_DONT_FAKE_MONOTONIC"] = "1";
        machine.DaemonEnvironment["FAKETIME_DONT_RESET"] = "1";
    }

    /// <summary>Why this cannot be had here; null: it can.</summary>
    public static string? WhyNot { get; } = Library is null ? "needs libfaketime (Debian's faketime)" : null;

    private static string? Library => Places.FirstOrDefault(File.Exists);

    /// <param name="by">From the true time.</param>
    public void Move(TimeSpan by)
    {
        // At once and whole: the daemon may be reading it.
        File.WriteAllText(_file + ".new", string.Create(CultureInfo.InvariantCulture, $"{(by < TimeSpan.Zero ? "-" : "+")}{Math.Abs(by.TotalSeconds):0.000}\n"));
        File.Move(_file + ".new", _file, overwrite: true);
    }
}
