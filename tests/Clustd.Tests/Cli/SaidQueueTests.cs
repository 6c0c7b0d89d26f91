using Clustd.Cli;
using Clustd.Core;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Cli;

public sealed class SaidQueueTests
{
    // Catches: a decision loop that waits for whoever reads its log.
    [Fact]
    public void A_reader_that_stands_still_holds_nobody_up_and_hears_how_much_it_missed()
    {
        using var mayWrite = new ManualResetEventSlim();
        var written = new List<string>();
        var queue = new SaidQueue((_, _, sentence) =>
        {
            mayWrite.Wait();
            written.Add(sentence);
        });
        for (var i = 0; i < 5_000; i++) queue.Say(Severity.Information, $"{i}");

        mayWrite.Set();
        queue.Dispose();
        written.Count.ShouldBeInRange(2049, 2050); // one may have been taken before the queue was full
        written[..2048].ShouldBe(Enumerable.Range(0, 2048).Select(i => $"{i}"));
        written[^1].ShouldStartWith($"{5_000 - (written.Count - 1)} lines are lost here");
    }

    [Fact]
    public void All_that_was_said_is_written_before_the_end()
    {
        var written = new List<string>();
        using (var queue = new SaidQueue((_, severity, sentence) => written.Add($"{severity} {sentence}")))
        {
            queue.Say(Severity.Warning, "first");
            queue.Say(Severity.Error, "last");
        }

        written.ShouldBe(["Warning first", "Error last"]);
    }
}
