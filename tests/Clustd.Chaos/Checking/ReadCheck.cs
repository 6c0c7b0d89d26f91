using Clustd.Chaos.History;

namespace Clustd.Chaos.Checking;

/// <summary>
/// Acknowledgements: what a command was told to be done, every confirmed read that begins after it shows, until the next command about it begins. One operator, so
/// this is a register with one writer. And tokens: no read goes back behind what was read, acted or moved before.
/// </summary>
internal static class ReadCheck
{
    // A command that was not acknowledged may still be on its way, and be done behind a later one, for so long. What it left behind then stays until an acknowledged command that began
    // after that: in between nothing about its subject is certain.
    public const long UncertainUs = 60_000_000;

    public static void Run(RoundView round, Findings findings)
    {
        var commands = round.Records.OfType<Commanded>().OrderBy(command => command.At).ToList();
        var reads = round.Records.OfType<StatusRead>().OrderBy(read => read.At).ToList();
        findings.Reads += reads.Count;
        findings.Acknowledged += commands.Count(command => command.ExitCode == 0);
        foreach (var read in reads)
        {
            Expect(findings, commands, read, "pause", "unpause", "", read.IsPaused);
            foreach (var machine in round.Round.Machines) Expect(findings, commands, read, "drain", "undrain", machine, read.Drained.Contains(machine));
        }

        Tokens(round, findings, commands, reads);
    }

    private static void Expect(Findings findings, List<Commanded> commands, StatusRead read, string set, string clear, string subject, bool isSet)
    {
        Commanded? last = null;
        var (uncertainUntil, isUncertain) = (long.MinValue, false);
        foreach (var command in commands.Where(command => (command.Verb == set || command.Verb == clear) && command.Subject == subject))
        {
            if (command.At >= read.Until) break;
            if (command.Until > read.At) return; // At the same time: either is right.
            if (command.ExitCode == 0) (last, isUncertain) = (command, command.At < uncertainUntil);
            else (uncertainUntil, isUncertain) = (Math.Max(uncertainUntil, command.Until + UncertainUs), true);
        }

        if (last is null || isUncertain || last.Verb == set == isSet) return;
        findings.Add(ViolationKind.LostAcknowledgement, read.At,
            $"`{last.Verb} {subject}`".Trim() + $" on {last.On} ended with 0, and a confirmed read on {read.Machine}, {(read.At - last.Until) / 1e6:0.000} s later, does not show it.");
    }

    private static void Tokens(RoundView round, Findings findings, List<Commanded> commands, List<StatusRead> reads)
    {
        foreach (var service in round.Round.Services)
        {
            // Everything that tells a token: known from KnownAt on, and every read that begins after that has to show it, or a newer one.
            var known = round.ActsOf(service).Where(acts => acts.IsAccepted).Select(acts => (KnownAt: acts.At, acts.Token, Words: $"it acted on {acts.Machine}"))
                .Concat(Moves(commands, service).Select(move => (KnownAt: move.Until, Token: move.Token!.Value, Words: $"a move to it was acknowledged on {move.On}")))
                .Concat(Read(reads, service).Select(read => (KnownAt: read.Until, read.Token, Words: $"it was read on {read.On}")))
                .OrderBy(each => each.KnownAt).ToList();
            var told = Read(reads, service).Select(read => (read.At, read.Token, Words: $"a confirmed read on {read.On} shows")).OrderBy(each => each.At);
            var (next, newest) = (0, (Token: long.MinValue, Words: "", At: 0L));
            foreach (var each in told)
            {
                for (; next < known.Count && known[next].KnownAt < each.At; next++)
                {
                    if (known[next].Token > newest.Token) newest = (known[next].Token, known[next].Words, known[next].KnownAt);
                }

                if (each.Token >= newest.Token) continue;
                var kind = newest.Words.StartsWith("a move", StringComparison.Ordinal) ? ViolationKind.LostAcknowledgement : ViolationKind.TokenGoesBack;
                findings.Add(kind, each.At, $"'{service}': {each.Words} token {each.Token}, {(each.At - newest.At) / 1e6:0.000} s after {newest.Token}: {newest.Words}.");
            }
        }
    }

    /// <summary>When a token was known to be granted: by a confirmed read, or by the answer to a move.</summary>
    public static IEnumerable<(long At, long Token)> KnownGrants(RoundView round, string service) =>
        Moves(round.Records.OfType<Commanded>(), service).Select(move => (move.Until, move.Token!.Value))
            .Concat(Read(round.Records.OfType<StatusRead>(), service).Select(read => (read.Until, read.Token)));

    private static IEnumerable<Commanded> Moves(IEnumerable<Commanded> commands, string service) =>
        commands.Where(command => command is { Verb: "move", ExitCode: 0, Token: not null } && command.Subject == service);

    private static IEnumerable<(long At, long Until, long Token, string On)> Read(IEnumerable<StatusRead> reads, string service) =>
        from read in reads
        from each in read.Services
        where each.Name == service && each.Token is not null
        select (read.At, read.Until, each.Token!.Value, read.Machine);
}
