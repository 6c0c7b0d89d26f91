using System.Text.Json.Nodes;
using Shouldly;

namespace Clustd.Conformance.Stage;

/// <summary>One daemon, one subject, and the words in which the rules are told.</summary>
internal sealed class Scene(ScriptedDaemon daemon, Subject subject, TimeSpan patience) : IAsyncDisposable
{
    public ScriptedDaemon Daemon => daemon;

    public Subject Subject => subject;

    public Journal<Message> Said => subject.Said;

    public TimeSpan Patience => patience;

    public Task<DriverSide> NextDriverAsync() => daemon.NextDriverAsync(patience);

    /// <summary>A start or stop that the subject has begun, after as many others of its kind.</summary>
    public Task<Message> BeginsAsync(bool isMaster, int after = 0, string service = "default") =>
        Said.FirstAsync(said => IsCall(said, "begin", isMaster, service), $"a {Name(isMaster)} to begin", patience, after);

    public Task<Message> EndsAsync(bool isMaster, int after = 0, string service = "default") =>
        Said.FirstAsync(said => IsCall(said, "end", isMaster, service), $"a {Name(isMaster)} to end", patience, after);

    public Task<Message> CancelledAsync(bool isMaster) =>
        Said.FirstAsync(said => IsCall(said, "cancelled", isMaster, "default"), $"a {Name(isMaster)} to be cancelled", patience);

    public int Begun(bool isMaster, string service = "default") => Said.All.Count(said => IsCall(said, "begin", isMaster, service));

    /// <summary>How starts (or stops) are done from now on.</summary>
    public Task BehaveAsync(bool isMaster, bool holds = false, bool ignores = false, string? fails = null, long blocksMs = 0) => subject.DoAsync(
        new JsonObject { ["do"] = "behave", ["isMaster"] = isMaster, ["holds"] = holds, ["ignores"] = ignores, ["fails"] = fails, ["blocksMs"] = blocksMs }, patience);

    public Task ReleaseAsync() => DoAsync("release");

    public Task<long> DoAsync(string what, JsonObject? with = null)
    {
        var command = with ?? [];
        command["do"] = what;
        return subject.DoAsync(command, patience);
    }

    /// <summary>What the subject's lease says now.</summary>
    public async Task<Message> LeaseAsync(string service = "default")
    {
        var before = Said.All.Count(said => said.Event == "lease");
        await DoAsync("lease", new JsonObject { ["service"] = service });
        return await Said.FirstAsync(said => said.Event == "lease", "what the lease says", patience, before);
    }

    /// <summary>Waits until the lease says what is wanted: an answer of the daemon may be on its way.</summary>
    public async Task<Message> LeaseIsAsync(Func<Message, bool> fits, string what)
    {
        var since = Message.NowUs;
        while (Message.NowUs - since < patience.TotalMicroseconds)
        {
            if (await LeaseAsync() is { } lease && fits(lease))
                return lease;
            await Task.Delay(20);
        }
        throw new TimeoutException($"Waited {patience.TotalSeconds:0.#} s in vain for a lease that {what}.");
    }

    /// <summary>A driver that has its lease and runs.</summary>
    public async Task<DriverSide> RunningAsync(long token = 7)
    {
        var side = await NextDriverAsync();
        await Acknowledged(side.TriggerAsync(true, token));
        return side;
    }

    /// <summary>All that was sent to the driver before has been read by it: it answers in the order of arrival what needs no time.</summary>
    public async Task ReadAllAsync(DriverSide side) => (await Answer(side.RequestAsync("no-such-method", []))).ErrorCode.ShouldBe(-32601);

    public Task<Message> Answer(Task<Message> answer) => InTime(answer, "the driver's answer");

    public async Task Acknowledged(Task<Message> answer) => (await Answer(answer)).Json.ContainsKey("error").ShouldBeFalse("an acknowledgement, and not: " + await answer);

    public async Task Refused(Task<Message> answer, int code)
    {
        var said = await Answer(answer);
        said.ErrorCode.ShouldBe(code, said.ToString());
        said.ErrorText.ShouldNotBeNullOrWhiteSpace("people read it");
    }

    /// <summary>Waits for something that must happen.</summary>
    public async Task<T> InTime<T>(Task<T> task, string what)
    {
        try
        {
            return await task.WaitAsync(patience);
        }
        catch (TimeoutException)
        {
            throw new TimeoutException($"Waited {patience.TotalSeconds:0.#} s in vain for {what}. Said by the subject:\n  {string.Join("\n  ", Said.All)}");
        }
    }

    public Task<Message> HeardAsync(DriverSide side, string method, int after = 0) => side.Heard.FirstAsync(message => message.Method == method, $"'{method}' from the driver", patience, after);

    public async ValueTask DisposeAsync()
    {
        await subject.DisposeAsync();
        await daemon.DisposeAsync();
    }

    private static string Name(bool isMaster) => isMaster ? "start" : "stop";

    private static bool IsCall(Message said, string what, bool isMaster, string service) => said.Event == what && said.Is("isMaster") == isMaster && said.Text("service") == service;
}
