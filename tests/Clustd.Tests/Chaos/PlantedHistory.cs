using System.Collections.Immutable;
using Clustd.Chaos.Checking;
using Clustd.Chaos.History;

namespace Clustd.Tests.Chaos;

/// <summary>A history made by hand: a cluster of three that is well, and what is planted into it. Times are in seconds from the round's beginning.</summary>
internal sealed class PlantedHistory
{
    public const long BoundMs = 1531;
    private const double ActsEvery = 0.5; // A record's length.
    private readonly List<HistoryRecord> _records = [];
    private int _fault;

    public PlantedHistory()
    {
        _records.Add(new RunStarted(0, 1, "clustd", "a machine", 2, "today"));
        _records.Add(new RoundStarted(0, 0, ["cm-1", "cm-2", "cm-3"], ["default"], 1000, 500, BoundMs));
        for (var at = 0.0; at < 60; at += 0.25)
        {
            foreach (var machine in (string[])["cm-1", "cm-2", "cm-3"]) _records.Add(new Looked(Us(at), Us(at + 0.01), machine, Answers: true, IsReady: true, "cm-2"));
        }
    }

    public PlantedHistory Acts(string machine, long token, double from, double until, int pid = 1, bool accepted = true)
    {
        for (var at = from; at < until; at += ActsEvery)
            _records.Add(new ActsSeen(Us(at), Us(Math.Min(at + ActsEvery - 0.01, until)), "default", machine, token, pid + (int)token * 100, 100, accepted));
        return this;
    }

    public PlantedHistory Fault(FaultKind kind, string machine, double from, double until, Roles roles = Roles.None) => Fault(kind, [machine], from, until, roles);

    public PlantedHistory Fault(FaultKind kind, ImmutableArray<string> machines, double from, double until, Roles roles = Roles.None)
    {
        var id = ++_fault;
        _records.RemoveAll(record => kind is FaultKind.MachineKilled && record is Looked look && machines.Contains(look.Machine) && look.At >= Us(from) && look.At < Us(until + 0.4));
        _records.Add(new FaultBegan(Us(from), id, kind, machines, roles, ""));
        _records.Add(new FaultEnded(Us(until), id, ""));
        return this;
    }

    public PlantedHistory Command(string verb, string subject, double from, double until, int exitCode = 0, long? token = null)
    {
        _records.Add(new Commanded(Us(from), Us(until), "cm-1", verb, subject, exitCode, token, ""));
        return this;
    }

    public PlantedHistory Read(double from, double until, long? token = null, bool paused = false, params string[] drained)
    {
        _records.Add(new StatusRead(Us(from), Us(until), "cm-3", paused, [.. drained], [new ServiceRead("default", "cm-1", token, "running")]));
        return this;
    }

    public PlantedHistory Decided(string on, long index, string kind, string machine, long token)
    {
        _records.Add(new Decided(Us(1), on, index, kind, "default", machine, token, $"{kind} {machine}"));
        return this;
    }

    public PlantedHistory Add(HistoryRecord record)
    {
        _records.Add(record);
        return this;
    }

    public PlantedHistory Load(double from, double lateSeconds) => Add(new LoadSeen(Us(from), Us(lateSeconds), 9, 1));

    public Verdict Judged(double until) => Checker.Check(Records(until));

    /// <summary>As they would be written: through the file's form and back.</summary>
    public IReadOnlyList<HistoryRecord> Records(double until) =>
        [.. _records.Append(new RoundEnded(Us(until))).Where(record => record.At <= Us(until)).Select(record => HistoryFile.Parse(HistoryFile.Line(record)))];

    public static long Us(double seconds) => (long)Math.Round(seconds * 1e6);
}
