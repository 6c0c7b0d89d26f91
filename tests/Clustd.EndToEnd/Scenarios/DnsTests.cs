using Clustd.EndToEnd.Harness;
using Shouldly;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>A name that follows the master: three machines on loopback, a supervised app, the dns driver, and a real name server.</summary>
public sealed class DnsTests : IAsyncLifetime
{
    private const string Name = "www.example.test";

    private NameServerProcess _server = null!;
    private Machines _machines = null!;

    public async ValueTask InitializeAsync()
    {
        _server = new NameServerProcess();
        await Eventually.IsTrue(async () => await _server.AddressOfAsync("ns1.example.test") == "127.0.0.1", "the name server answers");
        _machines = Machines.Prepare(new ClusterPlan());
        foreach (var machine in _machines.All)
            machine.EditFile(text => text + $"  - dns: {{ record: {Name}, addresses: [{AddressOf(machine.Id)}], server: '127.0.0.1:{_server.Port}', key: {NameServerProcess.KeyName}, secret: '{NameServerProcess.Secret}', order: 10 }}\n");
        await _machines.MakeHealthyAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (TestContext.Current.TestState?.Result == TestResult.Failed) TestContext.Current.TestOutputHelper?.WriteLine(_machines?.Logs() ?? "");
        if (_machines is not null) await _machines.DisposeAsync();
        _server?.Dispose();
    }

    [Fact] // Wrong program: a master that thaws writes what it was about to write.
    public async Task The_name_follows_the_master_and_a_master_that_was_frozen_does_not_take_it_back()
    {
        await PointsToAsync(_machines.Master);

        await _machines.MoveSomewhereAsync();
        await PointsToAsync(_machines.Master);

        var old = _machines.Acts.Newest()!;
        var frozen = _machines.Master;
        frozen.Signal(RunningProcess.SIGSTOP);
        (await _machines.NextTenureAsync(old)).Machine.ShouldNotBe(frozen.Id);
        var next = _machines.Master;
        await PointsToAsync(next);
        frozen.Thaw();
        await _machines.MakeHealthyAsync();
        await _machines.ShouldGoOnActingAsync(TimeSpan.FromSeconds(6)); // another look of each driver
        _machines.Master.ShouldBe(next);
        (await _server.AddressOfAsync(Name)).ShouldBe(AddressOf(next.Id));

        old = _machines.Acts.Newest()!;
        next.KillEverything();
        (await _machines.NextTenureAsync(old)).Machine.ShouldNotBe(next.Id);
        await PointsToAsync(_machines.Master);
    }

    private Task PointsToAsync(Machine machine) =>
        Eventually.IsTrue(async () => await _server.AddressOfAsync(Name) == AddressOf(machine.Id), $"the name server says {AddressOf(machine.Id)}, {machine.Id}'s address");

    private static string AddressOf(string id) => $"203.0.113.{id[^1]}";
}
