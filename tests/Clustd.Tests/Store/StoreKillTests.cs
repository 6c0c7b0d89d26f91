using System.Globalization;
using Clustd.Core;
using Clustd.Store;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Store;

public sealed class StoreKillTests(ITestOutputHelper output)
{
    /// <summary>The wrong program: one that acknowledges before the commit, or splits truncation, entries, term and vote over two.</summary>
    [Fact]
    public async Task All_that_was_acknowledged_survives_kill_minus_nine_at_random_moments()
    {
        using var directory = new TemporaryDirectory();
        var seed = Random.Shared.Next();
        var random = new Random(seed);
        for (var trial = 1; trial <= 12; trial++)
        {
            var acknowledged = await AppendUntilKilled(directory.Path, random.Next(1, 400));

            using var store = SqliteStore.Open(directory.Path, "test");
            var written = store.Stored.HardState.Term.Value;
            output.WriteLine($"trial {trial}: {acknowledged} acknowledged, {written} found");
            written.ShouldBeGreaterThanOrEqualTo(acknowledged, $"seed {seed}, trial {trial}");
            store.Stored.HardState.Vote.ShouldBe(new MachineId($"vote-{written}"));
            store.Stored.Entries.SequenceEqual(StoreScript.After(written).Log).ShouldBeTrue($"seed {seed}, trial {trial}");
        }
    }

    private static async Task<long> AppendUntilKilled(string directory, int lines)
    {
        using var child = StoreChild.Start("append", directory);
        long acknowledged = 0;
        for (var line = 0; await child.StandardOutput.ReadLineAsync() is { } sequence; line++)
        {
            acknowledged = long.Parse(sequence, CultureInfo.InvariantCulture);
            if (line == lines)
            {
                child.Kill(); // what it printed before it died is read to the end
            }
        }

        await child.WaitForExitAsync();
        child.ExitCode.ShouldBe(137);
        return acknowledged;
    }
}
