using System.Collections.Immutable;
using System.Text.Json;
using Clustd.Chaos.History;
using Clustd.EndToEnd.Harness;

namespace Clustd.Chaos.Run;

/// <summary>Asks the machines, all the time, and writes down what they say: their own state, what was decided, and confirmed reads.</summary>
internal sealed class Watcher(IReadOnlyList<Machine> machines, int services, HistoryFile history) : IAsyncDisposable
{
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(300), ReadEvery = TimeSpan.FromMilliseconds(350);
    private readonly CancellationTokenSource _over = new();
    private readonly List<Task> _tasks = [];

    public void Start()
    {
        foreach (var machine in machines) _tasks.Add(LookAsync(machine));
        _tasks.Add(ReadAsync());
    }

    /// <summary>A confirmed read, into the history; whether it could be had.</summary>
    public async Task<bool> ReadAsync(Machine machine)
    {
        var at = ActObserver.Now;
        if (await machine.GetAsync("/v1/status?consistency=linearizable") is not { } status) return false;
        var drained = status.GetProperty("machines").EnumerateArray().Where(each => each.GetProperty("drained").ValueKind == JsonValueKind.True).Select(each => each.GetProperty("id").GetString()!);
        var read = status.GetProperty("services").EnumerateArray().Select(each => new ServiceRead(
            each.GetProperty("name").GetString()!, each.GetProperty("master").GetString(), Number(each.GetProperty("token")), each.GetProperty("state").GetString()!));
        history.Add(new StatusRead(at, ActObserver.Now, machine.Id, status.GetProperty("paused").ValueKind == JsonValueKind.True, [.. drained], [.. read]));
        return true;
    }

    public async ValueTask DisposeAsync()
    {
        await _over.CancelAsync();
        await Task.WhenAll(_tasks);
        _over.Dispose();
    }

    private async Task LookAsync(Machine machine)
    {
        var since = 0L;
        while (!_over.IsCancellationRequested)
        {
            var at = ActObserver.Now;
            var status = machine.IsDaemonRunning ? await machine.GetAsync("/v1/status?consistency=local") : null;
            history.Add(status is { } json ? Look(machine, at, json) : new Looked(at, ActObserver.Now, machine.Id, Answers: false, IsReady: false, Leader: null));
            if (status is not null && await machine.GetAsync($"/v1/events?since={since}&consistency=local") is { } events) since = Events(machine, events, since);
            await Pause(LookEvery);
        }
    }

    private Looked Look(Machine machine, long at, JsonElement json)
    {
        var status = new Status(json);
        var quorum = json.GetProperty("quorum");
        var hears = quorum.GetProperty("have") is { ValueKind: JsonValueKind.Number } have && quorum.GetProperty("need") is { ValueKind: JsonValueKind.Number } need && have.GetInt32() >= need.GetInt32();
        var answers = hears && status.Drivers.Count >= services;
        return new Looked(at, ActObserver.Now, machine.Id, answers, answers && status.IsKnown && status.Alive.Contains(machine.Id) && status.Leader is not null, status.Leader);
    }

    private long Events(Machine machine, JsonElement answer, long since)
    {
        foreach (var each in answer.GetProperty("events").EnumerateArray())
        {
            var index = each.GetProperty("index").GetInt64();
            since = Math.Max(since, index);
            history.Add(new Decided(ActObserver.Now, machine.Id, index, each.GetProperty("kind").GetString()!, each.GetProperty("service").GetString(),
                each.GetProperty("machine").GetString(), Number(each.GetProperty("token")), each.GetProperty("sentence").GetString()!));
        }

        return since;
    }

    private async Task ReadAsync()
    {
        for (var turn = 0; !_over.IsCancellationRequested; turn++)
        {
            var machine = machines[turn % machines.Count];
            if (machine.IsDaemonRunning) await ReadAsync(machine);
            await Pause(ReadEvery);
        }
    }

    private Task Pause(TimeSpan time) => Task.Delay(time, _over.Token).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);

    private static long? Number(JsonElement json) => json.ValueKind == JsonValueKind.Number ? json.GetInt64() : null;
}
