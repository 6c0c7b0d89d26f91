using System.Collections.Immutable;
using System.Text.Json.Serialization;

namespace Clustd.Core.Cluster;

/// <summary>
/// All that may enter the replicated log. To add a command: add a case and its line below, then follow the compiler.
/// Commands are what has been decided, never how: <see cref="StateMachine"/> only guards invariants, so machines of
/// different versions that apply the same log hold the same state.
/// </summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "type")]
[JsonDerivedType(typeof(Form), "form")]
[JsonDerivedType(typeof(NoOp), "no-op")]
[JsonDerivedType(typeof(ChangeMembers), "change-members")]
[JsonDerivedType(typeof(OpenSession), "open-session")]
[JsonDerivedType(typeof(EndSession), "end-session")]
[JsonDerivedType(typeof(GrantGrace), "grant-grace")]
[JsonDerivedType(typeof(EndGrace), "end-grace")]
[JsonDerivedType(typeof(DefineServices), "define-services")]
[JsonDerivedType(typeof(Assign), "assign")]
[JsonDerivedType(typeof(ReportRunning), "report-running")]
[JsonDerivedType(typeof(ReportStarting), "report-starting")]
[JsonDerivedType(typeof(ReportStuck), "report-stuck")]
[JsonDerivedType(typeof(Release), "release")]
[JsonDerivedType(typeof(RequestMove), "request-move")]
[JsonDerivedType(typeof(AbortMove), "abort-move")]
[JsonDerivedType(typeof(SetDrain), "set-drain")]
[JsonDerivedType(typeof(SetPause), "set-pause")]
[JsonDerivedType(typeof(ClearFailures), "clear-failures")]
[JsonDerivedType(typeof(ConfirmFenced), "confirm-fenced")]
[JsonDerivedType(typeof(SetFeatureLevel), "set-feature-level")]
public abstract record Command
{
    private Command()
    {
    }

    /// <summary>Always entry 1: who formed the cluster, with which stores. Epoch is the wall clock's Unix second at forming (tokens' high bits).</summary>
    /// <remarks>FeatureLevel: the lowest of those who form; 1 in the logs of the first version, which knew of none.</remarks>
    public sealed record Form(ClusterId Cluster, long EpochSeconds, TimeSpan Lease, ImmutableArray<Member> Members, int FeatureLevel = 1) : Command;

    /// <summary>First entry of every leader: its term counts as begun when this one is applied (rule 6).</summary>
    public sealed record NoOp(MachineId Leader) : Command;

    /// <summary>
    /// The members from here on, all of them. Takes effect when appended (Ongaro, section 4.1), and differs from those before by one voter at most, so that
    /// every majority of one list shares a machine with every majority of the other.
    /// </summary>
    public sealed record ChangeMembers(ImmutableArray<Member> Members, string Reason) : Command;

    /// <summary>The session's id is the index of this entry. The lease is written down here and in every echo (rule 12).</summary>
    public sealed record OpenSession(MachineId Machine, StoreId Store, TimeSpan Lease) : Command;

    /// <summary>Ends a session. What the machine still holds becomes vacated and waits k·kill_timeout (rule 11).</summary>
    public sealed record EndSession(SessionId Session, string Reason) : Command;

    /// <summary>
    /// The daemon that holds this session restarts on purpose, and Drivers go on without it for up to Grace. The length travels here, whatever any file says
    /// meanwhile (rule 12). Saying it again under the same id changes nothing.
    /// </summary>
    public sealed record GrantGrace(SessionId Session, long Id, TimeSpan Grace, ImmutableArray<GraceDriver> Drivers) : Command
    {
        // Arrays compare by reference in a record's own equality: what is said again must be known again.
        public bool Equals(GrantGrace? other) =>
            other is not null && Session == other.Session && Id == other.Id && Grace == other.Grace && Drivers.AsSpan().SequenceEqual(other.Drivers.AsSpan());

        public override int GetHashCode() => (int)Id; // never used as a key; content equality above is what matters
    }

    /// <summary>Nobody counts on this grace any more: every driver that did has an ordinary lease again, or the grace is over (rule 16). Other graces stay.</summary>
    public sealed record EndGrace(SessionId Session, long Id) : Command;

    public sealed record DefineServices(ImmutableArray<ServiceDefinition> Services) : Command;

    /// <summary>Makes a machine master under its session. kill_timeout is what it was when granted (rule 12).</summary>
    public sealed record Assign(ServiceName Service, MachineId Machine, SessionId Session, Token Token, TimeSpan KillTimeout, string Reason) : Command;

    /// <summary>The master's drivers have all acknowledged the start.</summary>
    public sealed record ReportRunning(ServiceName Service, Token Token) : Command;

    /// <summary>What ran under this token had to stop while the machine did not hold its session; it holds it again, and starts anew under the same token.</summary>
    public sealed record ReportStarting(ServiceName Service, Token Token, string Reason) : Command;

    /// <summary>A stop failed where killing is not certain: shown, and not taken over while that session lives.</summary>
    public sealed record ReportStuck(ServiceName Service, Token Token, string Reason) : Command;

    /// <summary>Nothing runs under this token any more, proven. With a failure, the machine cools down for this service.</summary>
    public sealed record Release(ServiceName Service, Token Token, string Reason, bool Failed) : Command
    {
        /// <summary>Not proven: its stop has failed. Whoever starts it next fences this machine first.</summary>
        public bool MayStillRun { get; init; }
    }

    /// <summary>An operator knows that this machine is off: nobody needs to fence it any more.</summary>
    public sealed record ConfirmFenced(MachineId Machine, string Reason) : Command;

    /// <summary>Asks the holder of this token to stop and release in good order. Target null: wherever placement says (or nowhere, for a retired service).</summary>
    public sealed record RequestMove(ServiceName Service, Token Token, MachineId? Target, string Reason) : Command;

    /// <summary>The planned stop failed; the service goes on where it is.</summary>
    public sealed record AbortMove(ServiceName Service, Token Token, string Reason) : Command;

    public sealed record SetDrain(MachineId Machine, bool Drained, string Reason) : Command;

    public sealed record SetPause(bool Paused, string Reason) : Command;

    public sealed record ClearFailures(ServiceName Service, MachineId Machine) : Command;

    /// <summary>All members can do this level: from here on commands that need it may be proposed. It never falls. See <see cref="FeatureLevels"/>.</summary>
    public sealed record SetFeatureLevel(int Level) : Command;
}
