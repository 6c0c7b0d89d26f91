using Clustd.EndToEnd.Harness;

namespace Clustd.Benchmarks.Measurements;

/// <summary>How a machine is lost.</summary>
/// <param name="Strike">Does it, and returns the instant, µs of CLOCK_MONOTONIC. Where a command has to be run for it, the instant before that: times come out too long by it, never too short.</param>
/// <param name="Heal">Undoes it; what was killed is started by whoever makes the subject healthy again.</param>
internal sealed record Fault(string Name, string Sentence, Func<NamespacedNetwork, Machine, long> Strike, Action<NamespacedNetwork, Machine> Heal, bool Thaws = false)
{
    public static readonly Fault Crash = new(
        "crash", "All processes of the master's machine are killed at once; its kernel closes their sockets.",
        (_, machine) => machine.KillEverything(), (_, _) => { });

    public static readonly Fault Cut = new(
        "cut", "The master's cable is pulled at the switch: both ends lose the carrier, connections are not closed.",
        (network, machine) => network.PullCable(machine.Id), (network, machine) => network.PlugIn(machine.Id));

    public static readonly Fault Silent = new(
        "silent", "The switch drops every frame to and from the master, and nobody is told.",
        (network, machine) => network.DropSilently(machine.Id), (network, machine) => network.Forward(machine.Id));

    public static readonly Fault Freeze = new(
        "freeze", "All processes of the master's machine are stopped (SIGSTOP), the app too, and thaw a second after the takeover, the app first and its killers last.",
        (_, machine) => machine.Signal(RunningProcess.SIGSTOP), (_, machine) => machine.Signal(RunningProcess.SIGCONT), Thaws: true);

    public static IReadOnlyList<Fault> All { get; } = [Crash, Cut, Silent, Freeze];
}
