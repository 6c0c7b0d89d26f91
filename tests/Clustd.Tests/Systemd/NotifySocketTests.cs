using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using Clustd.Systemd;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Systemd;

/// <summary>The other end is a real datagram socket, as systemd's is.</summary>
public sealed class NotifySocketTests : IDisposable
{
    private const int OurPid = 4711;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("clustd-");
    private readonly Socket _manager = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
    private long _now;

    private string Path => System.IO.Path.Combine(_folder.FullName, "notify");

    public NotifySocketTests()
    {
        _manager.Bind(new UnixDomainSocketEndPoint(Path));
        _manager.ReceiveTimeout = 5000;
    }

    [Fact]
    public void It_is_told_of_the_start_the_state_and_the_end()
    {
        using var told = From(("NOTIFY_SOCKET", Path)).ShouldNotBeNull();
        told.Ready();
        told.Status("cm-1 holds session 3:\nit may run services.");
        told.Stopping();
        Heard(3).ShouldBe(["READY=1", "STATUS=cm-1 holds session 3: it may run services.", "STOPPING=1"]);
    }

    // Catches: a watchdog fed by a timer, and one fed so seldom that a busy second is the end of the daemon.
    [Fact]
    public void Only_turns_of_the_loop_feed_the_watchdog_and_no_more_often_than_needed()
    {
        using var told = From(("NOTIFY_SOCKET", Path), ("WATCHDOG_USEC", "10000000"), ("WATCHDOG_PID", "4711")).ShouldNotBeNull();
        for (var turn = 0; turn < 100; turn++)
        {
            _now += Stopwatch.Frequency / 10;
            told.TurnCompleted();
        }

        Heard(4).ShouldBe(["WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"]);
        _manager.Available.ShouldBe(0);
        _now += Stopwatch.Frequency * 3600;
        _manager.Available.ShouldBe(0);
    }

    [Fact]
    public void What_the_manager_watches_is_in_the_status()
    {
        using var told = From(("NOTIFY_SOCKET", Path), ("WATCHDOG_USEC", "10000000")).ShouldNotBeNull();
        told.FeedEvery.ShouldBe(TimeSpan.FromSeconds(2.5));
        _now += Stopwatch.Frequency * 4;
        told.Watchdog.ShouldBe(new("systemd", null, 10_000, 4000, null));
        told.TurnCompleted();
        told.Watchdog!.FedAgoMs.ShouldBe(0);
    }

    [Theory]
    [InlineData("4712", "10000000")] // the manager watches another process
    [InlineData("4711", "")]
    [InlineData("4711", "soon")]
    public void Without_a_watchdog_turns_say_nothing(string pid, string microseconds)
    {
        using var told = From(("NOTIFY_SOCKET", Path), ("WATCHDOG_USEC", microseconds), ("WATCHDOG_PID", pid)).ShouldNotBeNull();
        _now += Stopwatch.Frequency * 3600;
        told.TurnCompleted();
        _manager.Available.ShouldBe(0);
        (told.FeedEvery, told.Watchdog).ShouldBe((null, null));
    }

    [Fact]
    public void An_abstract_socket_is_found()
    {
        using var manager = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        var name = $"clustd-test-{Guid.NewGuid():n}";
        manager.Bind(new UnixDomainSocketEndPoint("\0" + name));
        manager.ReceiveTimeout = 5000;
        using var told = From(("NOTIFY_SOCKET", "@" + name)).ShouldNotBeNull();
        told.Ready();
        var buffer = new byte[64];
        Encoding.UTF8.GetString(buffer, 0, manager.Receive(buffer)).ShouldBe("READY=1");
    }

    [Fact]
    public void Nobody_is_told_where_nobody_asked_or_listens()
    {
        From().ShouldBeNull();
        From(("NOTIFY_SOCKET", Path + "-gone")).ShouldBeNull();
        From(("NOTIFY_SOCKET", "vsock:2:1234")).ShouldBeNull();
    }

    // Catches: a decision loop that stands still because systemd does.
    [Fact]
    public void A_manager_that_does_not_read_holds_nobody_up()
    {
        using var told = From(("NOTIFY_SOCKET", Path)).ShouldNotBeNull();
        for (var i = 0; i < 10_000; i++) told.Status("once more");
    }

    [Fact]
    public void Its_variables_are_not_for_the_programs_that_we_start()
    {
        NotifySocket.IsVariable("NOTIFY_SOCKET").ShouldBeTrue();
        NotifySocket.IsVariable("WATCHDOG_USEC").ShouldBeTrue();
        NotifySocket.IsVariable("PATH").ShouldBeFalse();
    }

    public void Dispose()
    {
        _manager.Dispose();
        _folder.Delete(recursive: true);
    }

    private NotifySocket? From(params (string Name, string Value)[] variables) =>
        NotifySocket.From(name => variables.FirstOrDefault(each => each.Name == name).Value, OurPid, () => _now);

    private List<string> Heard(int count)
    {
        var buffer = new byte[1024];
        return [.. Enumerable.Range(0, count).Select(_ => Encoding.UTF8.GetString(buffer, 0, _manager.Receive(buffer)))];
    }
}
