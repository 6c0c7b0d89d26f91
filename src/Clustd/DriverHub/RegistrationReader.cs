using System.Collections.Immutable;
using Clustd.Client.Protocol;
using Clustd.Core;

namespace Clustd.Hub;

/// <summary>
/// Checks what a driver says of itself. Everything is bounded here: the decision loop adds these durations to its clock, and an
/// overflow there would end the daemon.
/// </summary>
internal static class RegistrationReader
{
    public const int NameCharsMax = 128;
    public const int ServicesMax = 1_024;
    public const int StatesMax = ServicesMax;
    public const int FencesMax = 64;
    public static readonly TimeSpan TimeoutMax = TimeSpan.FromDays(1);
    private const long TokenEnd = 1L << 53; // JavaScript reads every token exactly.

    /// <summary>The registration, or the reason, in three parts, why there is none.</summary>
    public static (DriverRegistration? Registration, string? Problem) Read(RegisterParams? said)
    {
        if (said is null)
        {
            return (null, "Cannot register: the parameters are missing or of the wrong type. Send at least name, instance and id, as text.");
        }

        var problem =
            !BoundedText.IsName(said.Name, NameCharsMax) ? Refusal("name", $"it needs 1 to {NameCharsMax} printable characters")
            : !BoundedText.IsName(said.Instance, NameCharsMax) ? Refusal("instance", $"it needs 1 to {NameCharsMax} printable characters, random per process")
            : said.Id is null ? Refusal("id", "it is a text for people, and null is none")
            : !AreServices(said.Services) ? Refusal("services", $"it is a list of at most {ServicesMax} names of 1 to {NameCharsMax} printable characters")
            : !IsTimeout(said.StopTimeoutUs) ? Refusal("stopTimeoutUs", $"it is a time in microseconds, from 0 to {TimeoutMax.TotalHours:F0} hours")
            : !IsTimeout(said.KillTimeoutUs) ? Refusal("killTimeoutUs", $"it is a time in microseconds, from 0 to {TimeoutMax.TotalHours:F0} hours")
            : !AreStates(said.States) ? Refusal("states", $"it is a list of at most {StatesMax} states, each with service, isMaster and token")
            : !AreMachines(said.Fences) ? Refusal("fences", $"it is a list of at most {FencesMax} ids of machines, of 1 to {NameCharsMax} printable characters")
            : null;
        return problem is not null ? (null, problem) : (Translate(said), null);
    }

    public static bool IsService(string? name) => BoundedText.IsName(name, NameCharsMax);

    public static bool IsToken(long token) => token is >= 0 and < TokenEnd;

    private static DriverRegistration Translate(RegisterParams said) => new()
    {
        Name = new DriverName(said.Name),
        Instance = said.Instance,
        Services = [.. (said.Services ?? []).Distinct(StringComparer.Ordinal).Select(name => new ServiceName(name))],
        Order = said.Order,
        Required = said.Required,
        StopsForCertain = said.Stop == RegisterParams.StopCertain,
        Fences = [.. (said.Fences ?? []).Distinct(StringComparer.Ordinal).Select(machine => new MachineId(machine))],
        StopTimeout = Time(said.StopTimeoutUs),
        KillTimeout = Time(said.KillTimeoutUs),
        States = [.. (said.States ?? []).Select(state => new DriverServiceState(new ServiceName(state.Service), state.IsMaster, new Token(state.Token), state.Unsettled))],
    };

    // "services": null and a null among them are valid JSON, whatever the type says.
    private static bool AreServices(IReadOnlyList<string>? services) => services is null || (services.Count <= ServicesMax && services.All(IsService));

    private static bool AreMachines(IReadOnlyList<string>? machines) =>
        machines is null || (machines.Count <= FencesMax && machines.All(machine => BoundedText.IsName(machine, NameCharsMax)));

    private static bool AreStates(IReadOnlyList<DriverState>? states) =>
        states is null || (states.Count <= StatesMax && states.All(state => state is not null && IsService(state.Service) && IsToken(state.Token)));

    private static bool IsTimeout(long? microseconds) => microseconds is null || (microseconds >= 0 && microseconds <= TimeoutMax.Ticks / TimeSpan.TicksPerMicrosecond);

    private static TimeSpan? Time(long? microseconds) => microseconds is { } us ? TimeSpan.FromTicks(us * TimeSpan.TicksPerMicrosecond) : null;

    private static string Refusal(string field, string rule) => $"Cannot register: '{field}' is not valid; {rule}. Correct the driver.";
}
