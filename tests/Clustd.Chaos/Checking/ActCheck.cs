using Clustd.Chaos.History;

namespace Clustd.Chaos.Checking;

/// <summary>P1 and P2 from the acts alone, in the kernel's order: no clock is compared with another. It does not believe the resource, but counts again.</summary>
internal static class ActCheck
{
    // A thawed killer needs a moment of processor time, and the app may get it first.
    private const long ThawUs = 1_000_000;

    // An act counts from when it was read from the pipe, which is later than it was done.
    private const long ReadLateUs = 50_000;

    public static void Run(RoundView round, Findings findings)
    {
        var granted = Granted(round, findings);
        foreach (var service in round.Round.Services)
        {
            ActsSeen? newest = null;
            var replaced = new HashSet<(long Token, int Pid)>();
            var grants = ReadCheck.KnownGrants(round, service).OrderBy(grant => grant.At).ToList();
            foreach (var acts in round.ActsOf(service))
            {
                findings.Acts += acts.Count;
                if (granted.TryGetValue((service, acts.Token), out var machine) && machine != acts.Machine)
                    findings.Add(ViolationKind.NotGranted, acts.At, $"'{service}': token {acts.Token} was granted to {machine} and acts on {acts.Machine}.");
                if (newest is null || acts.Token >= newest.Token) AfterGrant(round, findings, acts, grants);
                if (newest is null || acts.Token > newest.Token)
                {
                    newest = acts;
                }
                else if (acts.Token < newest.Token)
                {
                    if (acts.IsAccepted) findings.Add(ViolationKind.TokenGoesBack, acts.At, $"'{service}': the resource accepted token {acts.Token} after {newest.Token}.");
                    Late(round, findings, ViolationKind.Overlap, acts, $"'{service}': {acts.Count} acts under token {acts.Token} on {acts.Machine}, after token {newest.Token} had acted on {newest.Machine}.");
                }
                else if (acts.Machine != newest.Machine)
                {
                    findings.Add(ViolationKind.TwoHolders, acts.At, $"'{service}': token {acts.Token} acts on {acts.Machine} and on {newest.Machine}.");
                }
                else if (acts.Pid != newest.Pid)
                {
                    if (replaced.Contains((acts.Token, acts.Pid)))
                    {
                        Late(round, findings, ViolationKind.TwoCopies, acts, $"'{service}': process {acts.Pid} acts under token {acts.Token} on {acts.Machine} after process {newest.Pid} had replaced it there.");
                        continue;
                    }

                    replaced.Add((newest.Token, newest.Pid));
                    newest = acts;
                }
            }
        }
    }

    // Told to start is what P2 speaks of: the new master need not have acted yet.
    private static void AfterGrant(RoundView round, Findings findings, ActsSeen acts, List<(long At, long Token)> grants)
    {
        var newer = grants.FirstOrDefault(grant => grant.Token > acts.Token, (At: long.MaxValue, Token: 0));
        if (newer.At >= acts.Until - ReadLateUs || newer.At >= acts.Until - ReadLateUs - round.LatenessWithin(newer.At, acts.Until)) return;
        Late(round, findings, ViolationKind.Overlap, acts, $"'{acts.Service}': acts under token {acts.Token} on {acts.Machine}, {(acts.Until - newer.At) / 1e6:0.000} s after {newer.Token} was known to be granted.");
    }

    private static void Late(RoundView round, Findings findings, ViolationKind kind, ActsSeen acts, string sentence)
    {
        var excuse = round.Faults.Where(fault => fault.Began.FreezesKiller() && fault.Began.Machines.Contains(acts.Machine)
            && fault.Began.At <= acts.At && acts.Until <= Later(fault.EndedAt, ThawUs + round.LatenessWithin(acts.At, acts.Until))).ToList();
        if (excuse.Count == 0) findings.Add(kind, acts.At, sentence + " Nobody who should have stopped it was frozen.");
        else findings.Late.Add(new LateActs(round.Round.Round, acts.Service, acts.Machine, acts.Token, acts.Count, acts.Until - excuse.Max(fault => fault.EndedAt == long.MaxValue ? acts.Until : fault.EndedAt)));
    }

    private static long Later(long at, long by) => at > long.MaxValue - by ? long.MaxValue : at + by;

    // What the machines say was decided: the same entry everywhere, and one holder for a token.
    private static Dictionary<(string Service, long Token), string> Granted(RoundView round, Findings findings)
    {
        foreach (var entry in round.Records.OfType<Decided>().GroupBy(decided => decided.Index))
        {
            var said = entry.GroupBy(decided => decided.On)
                .Select(group => (On: group.Key, Words: string.Join(", ", group.Select(decided => $"{decided.Kind} {decided.Service} {decided.Machine} {decided.Token}").Distinct().Order(StringComparer.Ordinal))))
                .DistinctBy(each => each.Words).ToList();
            if (said.Count > 1)
                findings.Add(ViolationKind.ReplicasDisagree, entry.First().At, $"Entry {entry.Key} is [{said[0].Words}] on {said[0].On} and [{said[1].Words}] on {said[1].On}.");
        }

        var granted = new Dictionary<(string, long), string>();
        foreach (var decided in round.Records.OfType<Decided>().Where(decided => decided is { Kind: "assigned", Service: not null, Machine: not null, Token: not null }))
        {
            var key = (decided.Service!, decided.Token!.Value);
            if (granted.TryGetValue(key, out var other) && other != decided.Machine)
                findings.Add(ViolationKind.TwoHolders, decided.At, $"'{decided.Service}': token {decided.Token} was granted to {other} and to {decided.Machine}.");
            granted.TryAdd(key, decided.Machine!);
        }

        return granted;
    }
}
