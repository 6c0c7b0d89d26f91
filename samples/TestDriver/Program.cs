// The smallest driver: says whether this machine is the master.   dotnet run -- SECRET [ws://127.0.0.1:3001]
using Clustd.Client;

var dc = new DriverClient { Secret = args[0], Id = "test-driver" };
await new TestDriver(dc, args.ElementAtOrDefault(1) ?? "ws://127.0.0.1:3001").ConnectAsync();
await Task.Delay(Timeout.Infinite);

internal sealed class TestDriver(DriverClient client, string host) : DriverMachine(client, host)
{
    protected override void Trigger(bool isMaster) => Console.WriteLine($"Master status: {isMaster}");
}
