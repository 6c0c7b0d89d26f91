using Clustd.Core;
using Shouldly;
using Xunit;

namespace Clustd.Simulation;

/// <summary>The short budget of every test run. The long one: `--seeds 10000`, see Program.cs.</summary>
public sealed class SimulationTests
{
    private const ulong Seeds = 300;

    [Fact]
    public void No_seed_breaks_an_invariant()
    {
        var failures = new List<string>();
        Runner.RunMany(1, next => next > Seeds || failures.Count > 0, threads: 2, machines: null, PlantedBug.None, result =>
        {
            if (result.Violation is not null)
            {
                failures.Add(result.Report());
            }
        });
        failures.ShouldBeEmpty();
    }

    /// <summary>Seeds that once found something; those up to <see cref="Seeds"/> (5, 84, 134, 186) are run above.</summary>
    [Theory]
    [InlineData(2392UL)] // a daemon back within its lease told the driver that it came back for to stop
    [InlineData(3854UL)] // two masters: a start that waited for its lease outlived its connection
    [InlineData(4209UL)] // the same, as a release of what still ran
    [InlineData(7580UL)] // the harness called a majority healthy that its leader could not reach
    [InlineData(1212UL)] // a lost hello kept a removed machine from being added again
    [InlineData(1930UL)] // a machine with a wiped disk said that nothing runs here, of what the daemon before it had started
    [InlineData(2568UL)] // of two voters, one left while the change that gives up its vote was only on its way
    [InlineData(5139UL)] // the harness called an entry lost that a disk had held until it was wiped
    [InlineData(9027UL)] // a daemon that came back to a disk that had failed kept its service from everybody
    [InlineData(9606UL)] // three machines stood for election at once, again and again
    public void A_seed_that_once_failed_stays_clean(ulong seed) => Runner.Run(seed).Violation.ShouldBeNull();

    /// <summary>Campaigns that once found something: seed and simulated minutes.</summary>
    [Theory]
    [InlineData(291UL, 10)] // the harness called a goodbye undisturbed although the other machine was lost in it, and
    [InlineData(843UL, 10)] // that both said goodbye, and
    [InlineData(716UL, 10)] // asked a daemon that did not run for its hold
    [InlineData(48UL, 10)] // a machine without power waited for a grace that had been ended before it was back, and
    [InlineData(119275UL, 1)] // for one that had never been granted
    [InlineData(67UL, 10)] // what was assigned to a machine whose disk did not answer had no master for as long as that lasted
    [InlineData(53UL, 2)] // giving that back reached into a snapshot that was not on disk yet
    [InlineData(3030UL, 2)] // a daemon that had not applied its own log yet said goodbye half a kill_timeout too early
    [InlineData(2809UL, 2)] // the harness did not take a goodbye for a change, and
    [InlineData(3493UL, 2)] // asked for a change of the members of a version that knows none
    [InlineData(111255UL, 1)] // two masters: of several grants that were given back for want of a disk only the last was remembered
    [InlineData(110362UL, 1)] // a daemon that had not applied its log yet knew of no service, and left while a driver ran on
    [InlineData(112319UL, 1)] // a member was removed although the disk of one that stayed did not answer
    [InlineData(105305UL, 1)] // the harness wanted a grace ended that had begun before the restart it was judging
    [InlineData(209244UL, 1)] // a daemon with an empty store said that nothing runs here, before it had met anybody, while a driver of the store before did
    [InlineData(208407UL, 1)] // the harness opened a connection at one end whose other end had died, and neither dialled again; so, too,
    [InlineData(213406UL, 1)] // at the end of a run, and
    [InlineData(215414UL, 1)] // after the store of a machine was another one
    [InlineData(227941UL, 1)] // the harness wanted a master on a machine that was no member, and
    [InlineData(243660UL, 1)] // on one with a new store that a cluster of an older version cannot take in
    [InlineData(240437UL, 1)] // the harness took a second disk away while the removal of another machine waited for it
    [InlineData(1009613UL, 1)] // the simulated driver did not give up a start that waited for its own stop, and
    [InlineData(1020233UL, 1)] // a connection that broke before both ends had it was half open for ever
    [InlineData(1032828UL, 1)] // the harness took a second disk away beside one that had been set back
    [InlineData(1068755UL, 1)] // so it did here, and
    [InlineData(1075340UL, 1)] // the connection was half open here, too
    [InlineData(1026733UL, 1)] // a machine whose disk was late got a session, and lost it, again and again
    [InlineData(1063026UL, 1)] // no master: of three ways around a closed link heartbeats took the open one, and echoes the others
    [InlineData(221798UL, 1)] // the harness exchanged the disk of a daemon that was running
    public void A_campaign_that_once_failed_stays_clean(ulong seed, int minutes) =>
        Runner.Run(Campaign.FromSeed(seed, TimeSpan.FromMinutes(minutes)), new Transcript(null)).Violation.ShouldBeNull();

    [Fact]
    public void The_same_seed_tells_the_same_story()
    {
        using var first = new StringWriter();
        using var second = new StringWriter();
        Runner.Run(7, live: first);
        Runner.Run(7, live: second);
        second.ToString().ShouldBe(first.ToString());
    }

    [Fact]
    public void The_same_campaign_tells_the_same_story()
    {
        using var first = new StringWriter();
        using var second = new StringWriter();
        Runner.Run(Campaign.FromSeed(7, TimeSpan.FromMinutes(2)), new Transcript(first));
        Runner.Run(Campaign.FromSeed(7, TimeSpan.FromMinutes(2)), new Transcript(second));
        second.ToString().ShouldBe(first.ToString());
    }

    [Fact]
    public void A_failure_is_told_with_no_more_faults_than_it_takes()
    {
        var failed = Enumerable.Range(1, 20).Select(seed => Runner.Run(Campaign.FromSeed((ulong)seed, TimeSpan.FromMinutes(2), bug: PlantedBug.NoKillWait), new Transcript(null)))
            .First(result => result.Violation?.Invariant == Invariant.OneMaster && result.Strikes.Length > 3);
        var story = Minimizer.StoryOf(failed, TimeSpan.FromSeconds(20));
        var only = story.Split("--only ")[1].Split('\n')[0].Split(',').ToHashSet();
        only.Count.ShouldBeLessThan(failed.Strikes.Length);
        Runner.Run(failed.Scenario with { OnlyStrikes = only }, new Transcript(null)).Violation!.Invariant.ShouldBe(Invariant.OneMaster);
    }
}
