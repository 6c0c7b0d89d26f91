using Clustd.Core;
using Clustd.Core.Running;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Running;

/// <summary>The drivers that this machine's file lists, each for its service and for no other.</summary>
public sealed class ListedDriversTests
{
    private static readonly ServiceName Web = new("web");
    private static readonly ServiceName Bot = new("bot");
    private static readonly DriverName App = new("app");
    private static readonly DriverName Vip = new("vip");
    private readonly ListedDrivers _listed = new([new ListedDriver(Vip, Web), new ListedDriver(App, Web), new ListedDriver(App, Bot)]);

    [Fact] // Wrong program: keeps only the last driver of a service, or the first service of a driver.
    public void Each_service_has_all_its_drivers_and_each_driver_all_its_services()
    {
        _listed.Services.ShouldBe([Bot, Web]);
        _listed.Of(Web).ShouldBe([App, Vip]);
        _listed.Of(Bot).ShouldBe([App]);
        _listed.Of(new ServiceName("other")).ShouldBeEmpty();
    }

    [Theory] // Wrong program: what is listed for one service is required for every other, or whatever is listed somewhere.
    [InlineData("vip", "web", true)]
    [InlineData("app", "bot", true)]
    [InlineData("vip", "bot", false)]
    [InlineData("fence", "web", false)]
    [InlineData("app", "other", false)]
    public void A_driver_is_listed_for_its_own_services_only(string driver, string service, bool isListed) =>
        _listed.Contains(new DriverName(driver), new ServiceName(service)).ShouldBe(isListed);
}
