using Clustd.Cli;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Cli;

public class WrappedTextTests
{
    [Fact]
    public void Lines_break_between_words_and_hang_in() =>
        WrappedText.Of("cm-1 is the master and nobody else is for long", width: 28, indent: 8).ShouldBe("cm-1 is the master\n        and nobody else is\n        for long");

    [Fact]
    public void A_word_that_is_longer_than_the_line_stands_alone() =>
        WrappedText.Of("see http://127.0.0.1:44977/a/very/long/path now", width: 28, indent: 4).ShouldBe("see\n    http://127.0.0.1:44977/a/very/long/path\n    now");
}
