namespace Clustd.Core.Running;

/// <summary>What may run on this machine, and when it must be gone.</summary>
/// <param name="HeldUntil">Until when this machine held its session, last; before this daemon has held one, until when a former daemon may have.</param>
/// <param name="Lease">Of that session.</param>
/// <param name="Services">What drivers may run, each with the kill_timeout that binds it: when HeldUntil and that are over, it must be gone.</param>
/// <param name="IsNothing">Nothing runs or may run here, not even something that no driver has told of yet.</param>
public sealed record RunningHere(Instant HeldUntil, TimeSpan Lease, IEnumerable<(ServiceName Service, TimeSpan KillTimeout)> Services, bool IsNothing);
