using System.Diagnostics;
using Clustd.Watchdogs;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Watchdogs;

/// <summary>The real system calls, on what is no watchdog. A real one would reset the machine of whoever runs these tests.</summary>
public sealed class WatchdogDeviceTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("clustd-watchdog-");

    private string Named(string name) => Path.Combine(_folder.FullName, name);

    [Fact]
    public void One_that_is_not_there_is_said_with_what_to_do() =>
        Should.Throw<WatchdogUnavailableException>(() => WatchdogDevice.Open(Named("watchdog"))).Message
            .ShouldBe($"Cannot open the watchdog {Named("watchdog")}: there is no such device. Load its driver, `modprobe softdog` if this machine has no hardware for it, correct 'watchdog.device', or remove 'watchdog'.");

    // Wrong program: waits for ever for somebody who reads the other end.
    [Fact]
    public void A_pipe_in_its_place_holds_nobody_up()
    {
        Process.Start("mkfifo", Named("pipe")).WaitForExit();
        Should.Throw<WatchdogUnavailableException>(() => WatchdogDevice.Open(Named("pipe"))).Message.ShouldContain("there is no such device");
    }

    [Theory]
    [InlineData("file")]
    [InlineData("/dev/null")]
    public void What_is_no_watchdog_does_not_answer_like_one(string name)
    {
        File.WriteAllText(Named("file"), "");
        using var device = WatchdogDevice.Open(Path.Combine(_folder.FullName, name));
        Should.Throw<IOException>(() => device.Abilities).Message.ShouldBe("does not answer like a watchdog (WDIOC_GETSUPPORT): Inappropriate ioctl for device");
        Should.Throw<IOException>(() => device.Timeout).Message.ShouldContain("WDIOC_GETTIMEOUT");
        Should.Throw<IOException>(() => device.SetTimeout(3)).Message.ShouldContain("WDIOC_SETTIMEOUT");
    }

    [Fact]
    public void A_feed_is_a_byte_and_the_letter_is_V()
    {
        File.WriteAllText(Named("file"), "");
        using (var device = WatchdogDevice.Open(Named("file")))
        {
            device.Feed();
            device.Disarm();
        }

        File.ReadAllBytes(Named("file")).ShouldBe([0, (byte)'V']);
    }

    [Fact]
    public void A_device_that_takes_nothing_is_an_error()
    {
        using var device = WatchdogDevice.Open("/dev/full");
        Should.Throw<IOException>(device.Feed).Message.ShouldContain("does not take what is written to it: No space left on device");
    }

    public void Dispose() => _folder.Delete(recursive: true);
}
