using System.Diagnostics;
using System.Text.Json;
using Clustd.EndToEnd.Harness;

namespace Clustd.Benchmarks.Subjects;

/// <summary>clustd with the app under <c>run:</c> and, on each machine, a probe in the SDK that says when it is triggered.</summary>
internal sealed class ClustdCluster : Subject
{
    public const string LeaderElsewhere = "leader survives", LeaderToo = "leader lost too";

    private readonly Setting _setting;
    private readonly Dictionary<Machine, Process> _probes = [];
    private readonly bool _withProbes;

    public ClustdCluster(Setting setting, Tools tools, bool withProbes = true)
        : base(
            new ClusterPlan
            {
                ClusterLines = setting.ClusterLines,
                Rest = $"""
                    services:
                      default: {"{"} {setting.ServiceKeys} drivers: [{(withProbes ? "probe, " : "")}default-shell] {"}"}
                    drivers:
                      - shell: {"{"} run: 'exec {tools.App}' {"}"}
                    """,
            },
            tools)
    {
        (_setting, _withProbes) = (setting, withProbes);
        Triggers = new TriggerLog(Machines.Home);
    }

    public override string Name => _setting.Name;

    public override IReadOnlyList<string> Cases { get; } = [LeaderElsewhere, LeaderToo];

    public override double? BoundMs => _setting.BoundMs;

    public TriggerLog Triggers { get; }

    public void StartProbe(Machine machine)
    {
        if (_probes.Remove(machine, out var old)) old.Dispose();
        _probes[machine] = StartOn(machine, "probe.log", Tools.Probe, "driver", $"ws://127.0.0.1:{machine.Port}", ClusterPlan.GoodSecret, machine.Id, Triggers.Pipe);
    }

    public override async Task MakeHealthyAsync()
    {
        foreach (var machine in Machines.All)
        {
            if (!machine.IsDaemonRunning) machine.Start();
            if (_withProbes && !(_probes.TryGetValue(machine, out var probe) && !probe.HasExited)) StartProbe(machine);
        }

        foreach (var machine in Machines.All)
        {
            await Eventually.IsTrue(
                async () => await machine.StatusAsync() is { } status && IsMeant(status) && status.Alive.Count == Machines.All.Count && status.HasDriver("default-shell")
                    && (!_withProbes || status.HasDriver("probe")) && status.Service().State == "running",
                $"{machine.Id} knows all machines alive, its drivers, and a running service");
        }

        await OneActsAsync();
    }

    private bool IsMeant(Status status) =>
        status.LeaseMs == _setting.Lease.TotalMilliseconds
            ? true
            : throw new InvalidOperationException($"The lease is {status.LeaseMs} ms and not {_setting.Lease.TotalMilliseconds:0} ms, as the setting '{_setting.Name}' says. Correct Setting.cs.");

    public override async Task<bool> ArrangeAsync(string @case)
    {
        await LeadAsync(@case == LeaderToo ? Machines.Master : Machines.Standbys[Random.Shared.Next(Machines.Standbys.Count)]);
        await OneActsAsync();
        return await Machines.LeaderAsync() is { } leader && leader == Machines.Master == (@case == LeaderToo);
    }

    public Task LeadAsync(Machine machine) => Machines.LeadAsync(machine);

    public override async Task ExplainAsync(Takeover takeover, SortedDictionary<string, double> values)
    {
        var told = await Eventually.Gives(() => StartOf(takeover.Next.Token), "the probe is told to start");
        values["trigger"] = (told.At - takeover.At) / 1e3;
        double Since(DateTimeOffset at) => (at - takeover.AtWallClock).TotalMilliseconds;
        if (await EventAsync(Machines[takeover.Next.Machine], "vacated", takeover.Old.Token) is { } vacated) values["vacated"] = Since(vacated);
        if (await EventAsync(Machines[takeover.Next.Machine], "assigned", takeover.Next.Token) is { } assigned) values["assigned"] = Since(assigned);
    }

    public Triggered? StartOf(long token) => Triggers.All.FirstOrDefault(told => told.IsMaster && told.Token == token);

    /// <summary>The newest stop there: a driver that connects is told to stop as well, and with the token of whoever is the master.</summary>
    public Triggered? StopOn(string machine) => Triggers.All.LastOrDefault(told => !told.IsMaster && told.Machine == machine);

    /// <summary>When a machine applied what the cluster decided about a token, by the wall clock that all machines share here.</summary>
    public static async Task<DateTimeOffset?> EventAsync(Machine machine, string kind, long token)
    {
        if (await machine.GetAsync("/v1/events") is not { } answer) return null;
        foreach (var each in answer.GetProperty("events").EnumerateArray().Reverse())
        {
            if (each.GetProperty("kind").GetString() == kind && each.GetProperty("token") is { ValueKind: JsonValueKind.Number } number && number.GetInt64() == token
                && each.GetProperty("at") is { ValueKind: JsonValueKind.String } at) return at.GetDateTimeOffset();
        }

        return null;
    }

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync(); // kills the probes first of all: they write to the pipe
        Triggers.Dispose();
        foreach (var probe in _probes.Values) probe.Dispose();
    }
}
