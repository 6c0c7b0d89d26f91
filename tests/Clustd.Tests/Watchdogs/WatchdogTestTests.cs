using Clustd.Config;
using Clustd.Drivers;
using Clustd.Watchdogs;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Watchdogs;

/// <summary>`clustd driver test watchdog`, on a folder that looks like /sys/class/watchdog.</summary>
public sealed class WatchdogTestTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("clustd-watchdog-");

    public WatchdogTestTests()
    {
        File.WriteAllText(Device, "");
        foreach (var (file, text) in (ReadOnlySpan<(string, string)>)[("identity", "Software Watchdog"), ("state", "inactive"), ("nowayout", "0"), ("timeout", "60"), ("min_timeout", "1"), ("max_timeout", "65535")]) Linux(file, text);
    }

    private string Device => Path.Combine(_folder.FullName, "watchdog");

    private string ClassFolder => Path.Combine(_folder.FullName, "class");

    [Fact]
    public void A_good_one_is_good() =>
        Found().ShouldBe([$"Good device: {Device} is Software Watchdog.", "Good in use: By nobody.", "Good timeout: It can count 3 s."]);

    [Fact]
    public void One_that_is_not_there_is_answered_with_those_that_are()
    {
        File.Delete(Device);
        Found().ShouldBe([$"Bad device: {Device} is not there. There is /dev/watchdog0: name it in 'watchdog.device'."]);
        Directory.Delete(ClassFolder, recursive: true);
        Found().ShouldHaveSingleItem().ShouldContain("This machine has none: load the driver of its hardware, or `modprobe softdog`.");
    }

    [Theory]
    [InlineData("min_timeout", "4", "Bad timeout: It counts no less than 4 s, and is to count 3 s.")]
    [InlineData("max_timeout", "2", "Bad timeout: It counts no more than 2 s, and is to count 3 s.")]
    [InlineData("nowayout", "1", "Doubtful nowayout: Once armed it cannot be stopped")]
    [InlineData("state", "active", "Doubtful in use: It is armed, and nobody that this user can see has it.")]
    public void What_will_not_do_is_said(string file, string text, string finding)
    {
        Linux(file, text);
        Found().ShouldContain(found => found.StartsWith(finding, StringComparison.Ordinal));
    }

    [Fact]
    public void Who_has_it_is_named()
    {
        using var held = File.OpenWrite(Device);
        var facts = new WatchdogFacts(ClassFolder);
        facts.Holders(Device).ShouldHaveSingleItem().ShouldEndWith($" ({Environment.ProcessId})");
        Found().ShouldContain(found => found.StartsWith("Bad in use: By ", StringComparison.Ordinal));
        facts.Holders("/dev/null").ShouldBeEmpty("it is no watchdog, and everybody has it");
    }

    // Wrong program: an older kernel, or something else in its place, is an exception or passes for good.
    [Fact]
    public void Where_Linux_tells_nothing_that_is_said()
    {
        Directory.Delete(ClassFolder, recursive: true);
        Found().Select(found => found.Split(':')[0]).ShouldBe(["Doubtful device", "Good in use", "Doubtful timeout"]);
    }

    // Wrong program: opens it, which arms it, and then has the machine of whoever only asked reset.
    [Fact]
    public void Nothing_is_opened()
    {
        File.SetUnixFileMode(Device, UnixFileMode.None);
        var before = File.GetLastAccessTimeUtc(Device);
        Found().ShouldNotBeEmpty();
        (File.GetLastAccessTimeUtc(Device), new FileInfo(Device).Length).ShouldBe((before, 0));
    }

    [Fact]
    public void A_link_is_followed()
    {
        var link = Path.Combine(_folder.FullName, "link");
        File.CreateSymbolicLink(link, Device);
        new WatchdogFacts(ClassFolder).Identity(link).ShouldBe("Software Watchdog");
        new WatchdogFacts(ClassFolder).Identity("/dev/watchdog7").ShouldBeNull();
        new WatchdogFacts(ClassFolder).Identity("/dev/null").ShouldBeNull();
    }

    public void Dispose() => _folder.Delete(recursive: true);

    private List<string> Found() => [.. WatchdogTest.Find(new WatchdogConfig(Device, TimeSpan.FromSeconds(3)), new WatchdogFacts(ClassFolder)).Select(each => $"{each.Level} {each.Subject}: {each.Text}")];

    private void Linux(string file, string text)
    {
        Directory.CreateDirectory(Path.Combine(ClassFolder, "watchdog0"));
        File.WriteAllText(Path.Combine(ClassFolder, "watchdog0", file), text + "\n");
    }
}
