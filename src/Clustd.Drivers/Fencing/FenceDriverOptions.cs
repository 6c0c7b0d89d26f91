using System.Text;

namespace Clustd.Drivers.Fencing;

public enum FenceAction
{
    /// <summary>Turn it off, and see it off. Somebody turns it on again.</summary>
    Off,

    /// <summary>Turn it off and on again: the agent's word that it was off in between is taken.</summary>
    Reboot,
}

/// <summary>The fence driver: turns one other machine off by a fence agent before the service that ran there starts here.</summary>
public sealed record FenceDriverOptions : DriverOptions
{
    public override string Kind => "fence";

    /// <summary>It runs nothing that could be left.</summary>
    public override bool StopsForCertain => true;

    public override IReadOnlyList<string> Fences => [Machine];

    /// <summary>cluster.id of the machine that it turns off.</summary>
    public required string Machine { get; init; }

    /// <summary>A fence agent: a name to be looked for in PATH and /usr/sbin, or an absolute path.</summary>
    public required string Agent { get; init; }

    /// <summary>What the agent takes on its standard input, without <c>action</c>.</summary>
    public IReadOnlyDictionary<string, string> Arguments { get; init; } = new SortedDictionary<string, string>(StringComparer.Ordinal);

    /// <summary>Handed to the agent as <c>password</c>. Null: none.</summary>
    public string? Password { get; init; }

    public FenceAction Action { get; init; } = FenceAction.Off;

    /// <summary>How often the device is asked whether it answers, so that one that does not is known before it is needed.</summary>
    public TimeSpan MonitorEvery { get; init; } = TimeSpan.FromMinutes(1);

    public override IEnumerable<string> Unprinted => [Password ?? "", .. Arguments.Select(pair => $"{pair.Key}={pair.Value}")];

    // A record prints its members; a password, or an argument that is one, must not reach a log that way.
    protected override bool PrintMembers(StringBuilder text)
    {
        text.Append($"Name = {EffectiveName}, Service = {Service}, Order = {Order}, Required = {Required}, StopTimeout = {StopTimeout}, KillTimeout = {KillTimeout}, ")
            .Append($"Machine = {Machine}, Agent = {Agent}, Action = {Action}, MonitorEvery = {MonitorEvery}, Arguments = [{string.Join(", ", Arguments.Keys)}]");
        return true;
    }
}
