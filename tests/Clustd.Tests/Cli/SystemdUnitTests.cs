using Clustd.Cli;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Cli;

/// <summary>Which unit a process belongs to. What systemctl answers is tested end to end, with a program of that name on the PATH.</summary>
public class SystemdUnitTests
{
    [Theory]
    [InlineData("0::/system.slice/clustd.service\n", "clustd.service", false)]
    [InlineData("0::/system.slice/system-clustd.slice/clustd@cm-1.service", "clustd@cm-1.service", false)]
    [InlineData("12:pids:/\n1:name=systemd:/system.slice/clustd.service\n0::/", "clustd.service", false)] // both hierarchies mounted
    [InlineData("0::/user.slice/user-1000.slice/user@1000.service/app.slice/clustd.service", "clustd.service", true)]
    public void The_unit_of_a_process_is_the_innermost_service_of_its_control_group(string cgroup, string name, bool isUser) =>
        SystemdUnit.UnitOf(cgroup).ShouldBe((name, isUser));

    // Wrong program: takes the user's manager for the unit, and restarts a whole login.
    [Theory]
    [InlineData("0::/user.slice/user-1000.slice/user@1000.service/app.slice/terminal-42.scope")]
    [InlineData("0::/user.slice/user-0.slice/session-3.scope")]
    [InlineData("0::/")]
    [InlineData("")]
    public void A_process_of_a_terminal_or_a_container_belongs_to_no_unit(string cgroup) => SystemdUnit.UnitOf(cgroup).ShouldBeNull();
}
