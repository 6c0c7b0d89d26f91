using Clustd.Core;
using Shouldly;
using Xunit;

namespace Clustd.Simulation.Scripts;

/// <summary>The stories of Scenarios/: each is played anew, and must go as it is written there. `./test sim --rewrite-scenarios` writes down what happens now.</summary>
public sealed class ScriptTests
{
    // The table "What happens when" of the design, by its first words: each row has a story, which names it.
    private static readonly string[] Rows =
    [
        "supervised app exits",
        "driver process dies",
        "a stop fails or hangs",
        "daemon dies, comes back within `lease`",
        "restarted with grace",
        "daemon dies for good",
        "machine lost or cut off",
        "consensus leader lost, not the master",
        "majority lost",
        "frozen process thaws",
        "`move`, `drain`, `systemctl stop`",
        "disk full or store corrupt",
        "secrets differ; lists differ before forming",
    ];

    public static TheoryData<string> Stories => [.. ScriptFiles.Names];

    [Theory]
    [MemberData(nameof(Stories))]
    public void A_story_goes_as_it_is_written(string name)
    {
        var text = ScriptFiles.Read(name);
        if (ScriptText.Difference(text.File, text.Golden, Script.Read(text).Play()) is { } difference)
        {
            Assert.Fail(difference);
        }
    }

    [Fact]
    public void Every_row_of_what_happens_when_has_a_story()
    {
        var prose = string.Join('\n', ScriptFiles.Names.Select(name => ScriptFiles.Read(name).Golden));
        Rows.Where(row => !prose.Contains($"Row \"{row}\"", StringComparison.Ordinal)).ShouldBeEmpty();
    }

    [Fact]
    public void The_index_names_every_story_and_every_command() => File.ReadAllText(ScriptFiles.IndexPath).ShouldBe(ScriptFiles.Index, "Rewrite it with `./test sim --rewrite-scenarios`.");

    [Fact]
    public void Every_story_says_first_what_it_shows()
    {
        foreach (var name in ScriptFiles.Names)
        {
            var lines = ScriptFiles.Read(name).Golden.Split('\n');
            (lines[0].StartsWith("# ", StringComparison.Ordinal) && lines[1] == "#" && lines[2].StartsWith("# ", StringComparison.Ordinal)).ShouldBeTrue(name);
        }
    }

    [Theory]
    [InlineData("machines 3\nform\nkil cm-1", "s.txt, line 3: 'kil' is no command. Write 'kill MACHINE...'.")]
    [InlineData("machines 3\nform\nexplode", "s.txt, line 3: 'explode' is no command. The commands are act, add, ")]
    [InlineData("machines 3\nform\n\nkill cm-4", "s.txt, line 4: 'cm-4' is no machine of this story. Its machines are cm-1, cm-2, cm-3. Usage: kill MACHINE...")]
    [InlineData("machines 3\nform\nrun fast", "s.txt, line 3: 'fast' is no duration. Write it like 500ms, 2s, 1.5s or 10min. Usage: run DURATION")]
    [InlineData("machines 3\nform\nrun", "s.txt, line 3: the line ends where a duration belongs. Usage: run DURATION")]
    [InlineData("machines 3\nform\nheal cm-1", "s.txt, line 3: 'cm-1' stands after the end of the command. Usage: heal")]
    [InlineData("machines 3\nform\ncut cm-1 cm-2", "s.txt, line 3: the line ends where '|' belongs. Usage: cut MACHINE... | MACHINE...")]
    [InlineData("machines 3\nform\nexpect rain", "s.txt, line 3: this is no condition. Conditions begin with 'master', 'no master', ")]
    [InlineData("machines 3\nform\nlease 1s", "s.txt, line 3: 'lease' comes after something has happened already. Put it before the first other command. Usage: lease DURATION")]
    [InlineData("machines 12", "s.txt, line 1: 12 machines are not between 1 and 9. Usage: machines NUMBER")]
    [InlineData("# only prose", "s.txt, line 1: there is no command in it. Begin with 'machines 3' and 'form'.")]
    public void A_mistake_in_a_script_is_told_with_its_line_and_what_to_write(string script, string message) =>
        Should.Throw<ScriptException>(() => Script.Read(ScriptText.Parse("s.txt", script))).Message.ShouldStartWith(message);

    [Fact]
    public void What_is_expected_and_not_so_fails_the_story_with_its_line_and_what_led_to_it()
    {
        var script = Script.Read(ScriptText.Parse("s.txt", "machines 3\nform leader cm-2\npower off cm-1\nexpect master web is cm-2 within 1s"));
        var failure = Should.Throw<ScriptException>(() => script.Play());
        failure.Line.ShouldBe(4);
        failure.Message.ShouldStartWith("s.txt, line 4: it is not so 1.000 s after the last thing that was done.");
        failure.Message.ShouldContain("the machine lost its power");
    }

    /// <summary>A rule is broken, and a story that is about it does not go as it is written any more: because an invariant is violated, or something is late or told otherwise.</summary>
    [Theory]
    [InlineData(nameof(PlantedBug.AgesLeftOut), "one-way-cut", Invariant.OneMaster)]
    [InlineData(nameof(PlantedBug.NoKillWait), "clocks-at-the-ends", Invariant.OneMaster)]
    [InlineData(nameof(PlantedBug.EchoWithoutRound), "majority-lost", "it is not so 2.500 s after")]
    [InlineData(nameof(PlantedBug.NoStretch), "machine-cut-off", "cm-1 was silent for 2041 ms")]
    [InlineData(nameof(PlantedBug.BarrierWithoutRound), "read-confirmed", "the story goes another way than it is written there")]
    [InlineData(nameof(PlantedBug.StalledLeaderStays), "disk-stalls", "it is not so 2.000 s after")]
    [InlineData(nameof(PlantedBug.GraceOfFormerLeader), "restart-with-grace", Invariant.OneMaster)]
    [InlineData(nameof(PlantedBug.GraceEndedAtOnce), "restart-with-grace", "restart-ended")]
    [InlineData(nameof(PlantedBug.LevelByMajority), "rolling-upgrade", Invariant.NothingTooNew)]
    [InlineData(nameof(PlantedBug.GoodbyeKeepsVote), "two-voters-goodbye", "it is not so 1.000 s after")]
    [InlineData(nameof(PlantedBug.WipedKeepsVote), "store-wiped", Invariant.MembershipStepwise)]
    [InlineData(nameof(PlantedBug.MajorityOfOldMembership), "two-voters-goodbye", Invariant.CommittedIsDurable)]
    [InlineData(nameof(PlantedBug.SnapshotNotDurable), "snapshot", Invariant.DurableBeforeApplied)]
    [InlineData(nameof(PlantedBug.VoteNotPersisted), "leader-lost", Invariant.DurableBeforeSent)]
    public void A_broken_rule_shows_in_a_story(string bug, string name, string shownBy)
    {
        var text = ScriptFiles.Read(name);
        string how;
        try
        {
            how = ScriptText.Difference(text.File, text.Golden, Script.Read(text).Play(Enum.Parse<PlantedBug>(bug))) ?? "no difference";
        }
        catch (ScriptException shown)
        {
            how = shown.Message;
        }

        how.ShouldContain(shownBy);
    }

    [Fact]
    public void A_story_is_rewritten_with_its_prose_its_commands_and_nothing_of_its_old_output()
    {
        var text = ScriptText.Parse("s.txt", "# prose\n\nmachines 1\n  old\nform\n  older\n    oldest\n");
        text.With(new Dictionary<int, IReadOnlyList<string>> { [5] = ["new", "  newer"] }).ShouldBe("# prose\n\nmachines 1\nform\n  new\n    newer\n");
    }

    [Fact]
    public void A_difference_is_shown_by_its_first_line_among_its_neighbours()
    {
        ScriptText.Difference("s.txt", "a\nb\nc\n", "a\nb\nc\n").ShouldBeNull();
        var difference = ScriptText.Difference("s.txt", "a\nb\nc\n", "a\nB\nc\n");
        difference.ShouldNotBeNull().ReplaceLineEndings("\n").ShouldStartWith("s.txt, line 2: the story goes another way than it is written there.\n\n    a\n  - b\n  - c\n");
        difference.ShouldContain("\n  + B\n  + c\n");
        difference.ShouldContain("./test sim --rewrite-scenarios");
    }
}
