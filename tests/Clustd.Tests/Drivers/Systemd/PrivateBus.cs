using System.Diagnostics;
using System.Net.Sockets;
using Shouldly;

namespace Clustd.Tests.Drivers.Systemd;

/// <summary>A dbus-daemon of the test's own, in a directory of its own.</summary>
public sealed class PrivateBus : IDisposable
{
    private readonly Process _daemon;

    private PrivateBus(Process daemon, string path) => (_daemon, Path) = (daemon, path);

    public static string? WhyNot => File.Exists("/usr/bin/dbus-daemon") ? null : "dbus-daemon is not there: install dbus";

    public string Path { get; }

    public string Address => $"unix:path={Path}";

    public int Pid => _daemon.Id;

    public static async Task<PrivateBus> StartAsync(string directory)
    {
        string path = System.IO.Path.Combine(directory, "bus"), config = System.IO.Path.Combine(directory, "bus.conf");
        await File.WriteAllTextAsync(config, Config($"unix:path={path}"));
        var daemon = Process.Start(new ProcessStartInfo("dbus-daemon", ["--nofork", $"--config-file={config}"]) { RedirectStandardError = true })!;
        daemon.ErrorDataReceived += (_, _) => { }; // it complains about limits of open files that it may not raise
        daemon.BeginErrorReadLine();
        await Scratch.Eventually(() => Listens(path) || daemon.HasExited, "dbus-daemon");
        daemon.HasExited.ShouldBeFalse("dbus-daemon has ended at once");
        return new PrivateBus(daemon, path);
    }

    // The socket is there before somebody listens.
    private static bool Listens(string path)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(path));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    public static string Config(string listen) => $"""
        <!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
        <busconfig>
          <type>session</type>
          <listen>{listen}</listen>
          <auth>EXTERNAL</auth>
          <policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
        </busconfig>
        """;

    public void Dispose()
    {
        _daemon.Kill();
        _daemon.WaitForExit();
        _daemon.Dispose();
    }
}
