// The subject of the C# SDK: clients/conformance/README.md says what it is.
using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using Clustd.Client;

var services = Setting("CLUSTD_SERVICES")?.Split(',') ?? [];
var subject = new Subject(
    new DriverClient
    {
        Secret = Setting("CLUSTD_SECRET")!,
        Id = Setting("CLUSTD_ID")!,
        Name = Setting("CLUSTD_NAME"),
        Services = services,
        Order = int.Parse(Setting("CLUSTD_ORDER") ?? "0"),
        Stop = Setting("CLUSTD_STOP") == "best-effort" ? StopGuarantee.BestEffort : StopGuarantee.Certain,
        StopTimeout = Milliseconds("CLUSTD_STOP_TIMEOUT_MS"),
        KillTimeout = Milliseconds("CLUSTD_KILL_TIMEOUT_MS"),
        Fences = Setting("CLUSTD_FENCES")?.Split(',') ?? [],
    },
    Setting("CLUSTD_URL")!);
new Thread(subject.Obey) { IsBackground = true }.Start();
try
{
    await subject.ConnectAsync();
    Subject.Say("connected", []);
}
catch (DriverRefusedException e)
{
    Subject.Say("refused", new() { ["text"] = e.Message });
    return 1;
}
await Task.Delay(Timeout.Infinite);
return 0;

static string? Setting(string name) => Environment.GetEnvironmentVariable(name);
static TimeSpan? Milliseconds(string name) => Setting(name) is { } text ? TimeSpan.FromMilliseconds(int.Parse(text)) : null;

internal sealed class Subject(DriverClient client, string host) : DriverMachine(client, host)
{
    private readonly ConcurrentDictionary<bool, JsonObject> behaviours = new();
    private readonly ConcurrentDictionary<string, Lease> leases = new();
    private volatile TaskCompletionSource released = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public static void Say(string what, JsonObject with)
    {
        with["event"] = what;
        lock (typeof(Console))
            Console.Out.WriteLine(with.ToJsonString());
    }

    public void Obey()
    {
        while (Console.ReadLine() is { } line)
        {
            var command = JsonNode.Parse(line)!.AsObject();
            var what = command["do"]!.GetValue<string>();
            if (what == "behave")
                behaviours[command["isMaster"]!.GetValue<bool>()] = command;
            Say("did", new() { ["id"] = command["id"]!.DeepClone() });
            if (what == "release")
                Interlocked.Exchange(ref released, new(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();
            else if (what == "freeze")
                for (var i = 0; i < 500; i++)
                    ThreadPool.QueueUserWorkItem(_ => Thread.Sleep((int)command["ms"]!));
            else if (what == "lease")
                Say("lease", leases.TryGetValue((string)command["service"]!, out var held)
                    ? new() { ["service"] = held.Service, ["token"] = held.Token, ["isValid"] = held.IsValid, ["remainingUs"] = (long)held.Remaining.TotalMicroseconds }
                    : new() { ["isValid"] = false });
            else if (what is "failed" or "health" or "event" or "close")
                _ = Task.Run(() => PerformAsync(what, command));
        }
        Environment.Exit(0);
    }

    protected override async Task TriggerAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        void SayCall(string what) => Say(what, new() { ["service"] = trigger.Service, ["isMaster"] = trigger.IsMaster, ["token"] = trigger.Token });
        var (how, release) = (behaviours.GetValueOrDefault(trigger.IsMaster) ?? [], released.Task);
        Say("begin", new()
        {
            ["service"] = trigger.Service, ["isMaster"] = trigger.IsMaster, ["token"] = trigger.Token, ["reason"] = trigger.Reason, ["kill"] = trigger.Kill, ["lease"] = trigger.Lease is not null,
            ["takesOverFrom"] = new JsonArray([.. trigger.TakesOverFrom.Select(machine => (JsonNode)machine)]),
        });
        using var cancelled = cancellationToken.Register(() => SayCall("cancelled"));
        if (trigger.IsMaster)
        {
            leases[trigger.Service] = trigger.Lease;
            trigger.Lease.CancellationToken.Register(() => Say("over", new() { ["service"] = trigger.Service, ["token"] = trigger.Token }));
        }
        Thread.Sleep((int?)how["blocksMs"] ?? 0);
        var ignores = (bool?)how["ignores"] ?? false;
        if ((bool?)how["holds"] ?? false)
            await Task.WhenAny(release, Task.Delay(Timeout.Infinite, ignores ? default : cancellationToken));
        SayCall("end");
        if (!ignores)
            cancellationToken.ThrowIfCancellationRequested();
        if ((string?)how["fails"] is { } text)
            throw new InvalidOperationException(text);
    }

    protected override void Log(DriverLogLevel level, string text) => Say("log", new() { ["level"] = level.ToString().ToLowerInvariant(), ["text"] = text });

    private async Task PerformAsync(string what, JsonObject command)
    {
        if (what == "close")
        {
            await DisposeAsync();
            Say("closed", []);
            Environment.Exit(0);
        }
        var report = new JsonObject { ["id"] = command["id"]!.DeepClone() };
        try
        {
            string Field(string name) => (string)command[name]!;
            await (what == "failed" ? ReportFailedAsync(Field("service"), Field("text"))
                : what == "health" ? ReportHealthAsync(Field("service"), (bool)command["ok"]!, Field("text"))
                : ReportEventAsync(Enum.Parse<DriverLogLevel>(Field("level"), ignoreCase: true), Field("text")));
        }
        catch (InvalidOperationException e)
        {
            report["error"] = e.Message;
        }
        Say("reported", report);
    }
}
