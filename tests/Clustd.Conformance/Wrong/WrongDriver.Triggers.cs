using System.Net.WebSockets;
using System.Text.Json.Nodes;
using Clustd.Conformance.Stage;

namespace Clustd.Conformance.Wrong;

/// <summary>Starts and stops, and the subject's commands.</summary>
internal sealed partial class WrongDriver
{
    private readonly List<Call> pending = [];
    private readonly Dictionary<bool, JsonObject> behaviours = [];
    private Call? current;
    private (bool IsMaster, long Token)? acknowledged;
    private (long Token, string Text)? failedStart;
    private long? running;
    private long highest;
    private long leaseToken;
    private bool leaseEnded = true;
    private TaskCompletionSource released = new(TaskCreationOptions.RunContinuationsAsynchronously);

    protected override Task WriteAsync(JsonObject command)
    {
        lock (gate)
        {
            switch (command["do"]!.GetValue<string>())
            {
                case "behave":
                    behaviours[command["isMaster"]!.GetValue<bool>()] = command;
                    break;
                case "release":
                    released.SetResult();
                    released = new(TaskCreationOptions.RunContinuationsAsynchronously);
                    break;
                case "lease":
                    var left = HoldsLease(Now) && !leaseEnded ? endsAt!.Value - Now : 0;
                    Say("did", new JsonObject { ["id"] = command["id"]!.DeepClone() });
                    Say("lease", new JsonObject { ["service"] = "default", ["token"] = leaseToken, ["isValid"] = left > 0, ["remainingUs"] = left });
                    return Task.CompletedTask;
            }
        }
        Say("did", new JsonObject { ["id"] = command["id"]!.DeepClone() });
        return Task.CompletedTask;
    }

    private void Triggered(WebSocket open, Message message)
    {
        var call = new Call(
            message.Params["isMaster"]!.GetValue<bool>(), message.Params["token"]!.GetValue<long>(), message.Params["reason"]!.GetValue<string>(),
            message.Params["sequence"]!.GetValue<long>(), message.Params["kill"]!.GetValue<bool>(), message.Params["takesOverFrom"] as JsonArray);
        call.Replies.Add((code, text) => _ = SendAsync(open, Answer(message, code, text)));
        if (call.IsMaster && call.Token < highest && !Does(Mistake.TakesOldTokens))
        {
            call.Reply(-32602, "an older token");
            return;
        }
        highest = Math.Max(highest, call.IsMaster ? call.Token : 0);
        Enqueue(call);
        if (call.Kill)
            killAt = Math.Min(killAt ?? long.MaxValue, Now + message.Params["limitUs"]!.GetValue<long>());
    }

    private void Enqueue(Call call)
    {
        if (pending.Count == 0 && current is { Cancelled: false } now && now.IsMaster == call.IsMaster && now.Token == call.Token && (now.Kill || !call.Kill))
        {
            now.Replies.AddRange(call.Replies);
            return;
        }
        foreach (var start in pending.Where(each => each.IsMaster).ToList())
        {
            pending.Remove(start);
            start.Reply(-32003, "overtaken");
        }
        if (Does(Mistake.DoesTwoThingsAtOnce) && current is not null)
        {
            _ = PerformAsync(call);
            return;
        }
        pending.Add(call);
        if (!call.IsMaster && current is { } before && (before.IsMaster || (call.Kill && !before.Kill && !Does(Mistake.NeverHurries))))
            Cancel(before);
    }

    private void Cancel(Call call)
    {
        if (call.Cancelled || Does(Mistake.DoesNotCancel))
            return;
        call.Cancelled = true;
        call.Cancellation.SetResult();
        Say("cancelled", Named(call));
    }

    private void StopNow(string reason, long deadline)
    {
        leaseEnded = true;
        if (running is not { } token)
            return;
        Say("over", new JsonObject { ["service"] = "default", ["token"] = token });
        killAt = Math.Min(killAt ?? long.MaxValue, deadline);
        var stop = new Call(false, token, reason, -1, true);
        stop.Replies.Add((code, _) =>
        {
            if (code is null && !Does(Mistake.NeverTellsThatItStopped))
                Tell("stopped", new JsonObject { ["name"] = "subject", ["instance"] = instance, ["service"] = "default", ["token"] = token, ["reason"] = reason });
        });
        Enqueue(stop);
    }

    private async Task WorkAsync()
    {
        while (!over.IsCancellationRequested)
        {
            Call? next = null;
            lock (gate)
            {
                if (pending.Count > 0 && (!pending[0].IsMaster || HoldsLease(Now) || Does(Mistake.StartsWithoutALease)))
                {
                    next = pending[0];
                    pending.RemoveAt(0);
                    if (acknowledged == (next.IsMaster, next.Token) && !Does(Mistake.DoesItAgain))
                    {
                        next.Reply(null, "");
                        continue;
                    }
                    if (next.IsMaster && failedStart is { } failed && failed.Token == next.Token && !Does(Mistake.RetriesAFailedStart))
                    {
                        next.Reply(-32001, failed.Text);
                        continue;
                    }
                    current = next;
                }
            }
            if (next is null)
                await Task.Delay(5);
            else
                await PerformAsync(next);
        }
    }

    private async Task PerformAsync(Call call)
    {
        JsonObject how;
        Task wait;
        lock (gate)
        {
            acknowledged = null;
            if (call.IsMaster)
                (running, leaseToken, leaseEnded, failedStart) = (call.Token, call.Token, false, null);
            else if (call.Kill)
                leaseEnded = true;
            how = behaviours.GetValueOrDefault(call.IsMaster) ?? [];
            wait = released.Task;
            var begin = Named(call);
            (begin["reason"], begin["kill"], begin["lease"]) = (call.Reason, call.Kill, call.IsMaster);
            if (!Does(Mistake.ForgetsWhomToFence))
                begin["takesOverFrom"] = call.TakesOverFrom?.DeepClone() ?? new JsonArray();
            Say("begin", begin);
            if (Does(Mistake.AnswersTooEarly))
                call.Reply(null, "");
        }
        var ignores = (bool?)how["ignores"] ?? false;
        if ((bool?)how["holds"] ?? false)
            await (ignores ? wait : Task.WhenAny(wait, call.Cancellation.Task));
        lock (gate)
        {
            if (over.IsCancellationRequested)
                return;
            Say("end", Named(call));
            current = null;
            if (call.Cancelled && (call.IsMaster || !ignores))
            {
                call.Reply(-32002, "cancelled");
            }
            else if ((string?)how["fails"] is { } text)
            {
                if (call.IsMaster)
                    failedStart = (call.Token, text);
                call.Reply(-32001, text);
            }
            else
            {
                acknowledged = (call.IsMaster, call.Token);
                if (!call.IsMaster)
                    (running, killAt, failedStart, leaseEnded) = (null, null, null, true);
                call.Reply(null, "");
            }
        }
    }

    private static JsonObject Named(Call call) => new() { ["service"] = "default", ["isMaster"] = call.IsMaster, ["token"] = call.Token };

    private sealed class Call(bool isMaster, long token, string reason, long sequence, bool kill, JsonArray? takesOverFrom = null)
    {
        public JsonArray? TakesOverFrom => takesOverFrom;

        public bool IsMaster => isMaster;

        public long Token => token;

        public string Reason => reason;

        public long Sequence => sequence;

        public bool Kill => kill;

        public bool Cancelled { get; set; }

        public TaskCompletionSource Cancellation { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public List<Action<int?, string>> Replies { get; } = [];

        public void Reply(int? code, string text)
        {
            Replies.ForEach(reply => reply(code, text));
            Replies.Clear();
        }
    }
}
