using System.Net;
using Clustd.Drivers.Vip;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Drivers.Vip;

/// <summary>The sums and rules of the vip driver, without a network.</summary>
public sealed class VipRulesTests
{
    private const long Second = 1_000_000;

    [Theory]
    [InlineData("10.0.0.9/24")]
    [InlineData("10.0.0.9/32")]
    [InlineData("10.0.0.0/31")] // RFC 3021: both are hosts
    [InlineData("2001:db8::9/64")]
    [InlineData("2001:db8::/128")]
    public void These_are_addresses(string text) => VipAddress.Parse(text, out _).ShouldNotBeNull().ToString().ShouldBe(text);

    // Wrong program: leaves it to the parser of the library, which reads 10.9 as 10.0.0.9 and +8 as 8.
    [Theory]
    [InlineData("10.0.0.9", "no prefix length")]
    [InlineData("10.0.0.9/33", "not from 1 to 32")]
    [InlineData("10.0.0.9/0", "not from 1 to 32")]
    [InlineData("10.0.0.9/+8", "not from 1 to 32")]
    [InlineData("2001:db8::9/129", "not from 1 to 128")]
    [InlineData("web/24", "no IPv4 or IPv6 address")]
    [InlineData("10.9/24", "no IPv4 or IPv6 address")] // inet_aton would read 10.0.0.9
    [InlineData("fe80::1%eth0/64", "no IPv4 or IPv6 address")]
    [InlineData("10.0.0.0/24", "the network's own address")]
    [InlineData("10.0.0.255/24", "the broadcast address")]
    [InlineData("127.0.0.9/8", "loopback")]
    [InlineData("0.0.0.0/8", "any address")]
    [InlineData("224.0.0.9/24", "multicast")]
    [InlineData("ff02::9/64", "multicast")]
    [InlineData("fe80::9/64", "link-local")]
    [InlineData("::ffff:10.0.0.9/120", "IPv6 clothes")]
    public void These_are_none(string text, string why)
    {
        VipAddress.Parse(text, out string whyNot).ShouldBeNull();
        whyNot.ShouldContain(why);
    }

    // The kernel may be 1.25 s late. Wrong program: rounds up, or forgets the lateness, and the address outlives the lease and kill_timeout.
    [Fact]
    public void A_lifetime_that_is_in_time_never_outlives_lease_and_kill_timeout()
    {
        for (long left = 0; left < 30 * Second; left += 37_000)
        {
            for (long kill = 0; kill <= 3 * Second; kill += 250_000)
            {
                var lifetime = AddressLifetime.Alone(left, kill, renewEveryUs: left / 4);
                lifetime.Seconds.ShouldBeGreaterThanOrEqualTo(1u);
                if (lifetime.IsInTime) (lifetime.Seconds * Second + AddressLifetime.LatenessMaxUs).ShouldBeLessThanOrEqualTo(left + kill);
                else (lifetime.Seconds * Second).ShouldBeGreaterThanOrEqualTo(left, "a machine that is well must not lose its address");
            }
        }
    }

    [Theory]
    [InlineData(10.0, 0.5, 2.5, 9, true)]
    [InlineData(6.0, 0.5, 1.5, 5, true)]
    [InlineData(2.0, 0.5, 0.5, 1, true)]  // just: 1 s, and it is renewed every half of one
    [InlineData(1.7, 0.5, 0.5, 2, false)] // one renewal late
    [InlineData(1.0, 0.5, 0.25, 1, false)]
    public void Without_a_gate_a_lease_may_be_too_short_for_whole_seconds(double left, double kill, double every, int seconds, bool isInTime) =>
        AddressLifetime.Alone((long)(left * Second), (long)(kill * Second), (long)(every * Second)).ShouldBe(new AddressLifetime((uint)seconds, isInTime));

    [Fact] // Wrong program: says it once, and whoever did not hear it sends to the old machine until its cache expires.
    public void Neighbours_are_told_at_once_and_again_and_then_now_and_then()
    {
        var schedule = new AnnounceSchedule(everyUs: 60 * Second);
        schedule.NextAtUs.ShouldBe(long.MaxValue);
        schedule.Begin(1000);
        var told = new List<long>();
        for (int i = 0; i < 7; i++)
        {
            long at = schedule.NextAtUs;
            schedule.IsDue(at - 1).ShouldBeFalse();
            schedule.IsDue(at).ShouldBeTrue();
            told.Add(at - 1000);
        }
        told.ShouldBe([0, 100_000, 500_000, 1 * Second, 2 * Second, 62 * Second, 122 * Second]);
    }

    [Fact] // Wrong program: one that was busy for two seconds sends five announcements in a row.
    public void What_was_missed_is_not_made_up_for()
    {
        var schedule = new AnnounceSchedule(everyUs: 0);
        schedule.Begin(0);
        schedule.IsDue(700_000).ShouldBeTrue();
        schedule.NextAtUs.ShouldBe(1 * Second);
        schedule.IsDue(5 * Second).ShouldBeTrue();
        schedule.NextAtUs.ShouldBe(long.MaxValue, "and no more, because it is not wanted");
    }

    [Fact] // Wrong program: two machines that both defend an address fill the network with it.
    public void A_contradiction_is_contradicted_ten_times_a_second_at_most()
    {
        var schedule = new AnnounceSchedule(60 * Second);
        Enumerable.Range(0, 1000).Count(ms => schedule.Contradicted(ms * 1000L)).ShouldBe(10);
    }

    [Fact] // Wrong program: one table for all, and the gate of one address goes with another one's; or ':' in a name, which `nft` cannot read back.
    public void A_gate_is_named_after_its_address()
    {
        AddressGate.TableOf(new VipAddress(IPAddress.Parse("10.0.0.9"), 24)).ShouldBe("clustd-10.0.0.9");
        AddressGate.TableOf(new VipAddress(IPAddress.Parse("2001:db8::9"), 64)).ShouldBe("clustd-20010db8000000000000000000000009");
    }
}
