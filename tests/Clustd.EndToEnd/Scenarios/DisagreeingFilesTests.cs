using Clustd.EndToEnd.Harness;
using Shouldly;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>Files of different machines contradict each other before a cluster has formed: nothing forms, and both sides say what differs.</summary>
public class DisagreeingFilesTests
{
    [Fact]
    public async Task Another_secret_on_one_machine_is_named_by_its_fingerprint_on_both_sides()
    {
        await using var machines = Machines.Prepare(new ClusterPlan { Count = 2 });
        machines.All[1].EditFile(file => file.Replace(ClusterPlan.GoodSecret, "other-Jb3Tq8Nv5XsD2mKf7Rc9", StringComparison.Ordinal));
        await ShouldBothSayAsync(machines, "secret differs (fingerprint ours ");
        machines.All.ShouldAllBe(machine => !machine.Log.Contains(ClusterPlan.GoodSecret) && !machine.Log.Contains("other-Jb3Tq8Nv5XsD2mKf7Rc9"));
    }

    [Fact]
    public async Task Two_machines_with_one_id_are_refused_by_those_who_see_both()
    {
        await using var machines = Machines.Prepare(new ClusterPlan());
        machines.All[2].EditFile(file => file.Replace("id: cm-3", "id: cm-2", StringComparison.Ordinal));
        await ShouldBothSayAsync(machines, "Give each machine a cluster.id of its own");
    }

    [Fact]
    public async Task Different_lists_before_forming_are_refused_and_both_sides_say_what_differs()
    {
        await using var machines = Machines.Prepare(new ClusterPlan { Count = 2 });
        machines.All[1].EditFile(file => file.Replace("machines: [", "machines: [ws://127.0.0.1:9, ", StringComparison.Ordinal));
        await ShouldBothSayAsync(machines, "127.0.0.1:9");
        machines.All.ShouldAllBe(machine => machine.Log.Contains("list different machines", StringComparison.Ordinal) && machine.Log.Contains("`cluster.machines`", StringComparison.Ordinal));
    }

    private static async Task ShouldBothSayAsync(Machines machines, string words)
    {
        foreach (var machine in machines.All) machine.Start();
        try
        {
            await Eventually.IsTrue(() => machines.All.All(machine => machine.Log.Contains(words, StringComparison.Ordinal)), $"both sides say '{words}'");
            foreach (var machine in machines.All) (await machine.RunAsync("status")).ExitCode.ShouldBe(3);
        }
        catch (TimeoutException)
        {
            TestContext.Current.TestOutputHelper?.WriteLine(machines.Logs());
            throw;
        }

        machines.All.ShouldAllBe(machine => machine.IsDaemonRunning);
        machines.Acts.Newest().ShouldBeNull("nothing may run before a cluster has formed");
    }
}
