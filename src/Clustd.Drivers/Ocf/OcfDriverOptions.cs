using System.Text;

namespace Clustd.Drivers.Ocf;

/// <summary>The OCF driver: a resource agent of Pacemaker's world, started and stopped without Pacemaker. Its processes are gone for certain when the lease is over; that nothing else is left is its own word: best effort.</summary>
public sealed record OcfDriverOptions : DriverOptions
{
    public override string Kind => "ocf";

    public override bool StopsForCertain => false;

    /// <summary>Name and place of the agent.</summary>
    public required OcfAgentName Agent { get; init; }

    /// <summary>What the agent finds as <c>OCF_RESKEY_NAME</c>. Some may be secret.</summary>
    public IReadOnlyDictionary<string, string> Parameters { get; init; } = new SortedDictionary<string, string>(StringComparer.Ordinal);

    /// <summary>How often the agent is asked whether it runs.</summary>
    public TimeSpan MonitorEvery { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How closely it looks: OCF_CHECK_LEVEL. What it means stands in the agent's meta-data.</summary>
    public int CheckLevel { get; init; }

    /// <summary>What a start leaves running is held by a guard, and killed when the lease is over. False: it lives on, as under Pacemaker.</summary>
    public bool HoldsProcesses { get; init; } = true;

    /// <summary>Folder with <c>resource.d</c> and <c>lib</c>.</summary>
    public string Root { get; init; } = "/usr/lib/ocf";

    public string AgentFile => Path.Combine(Root, "resource.d", Agent.Provider, Agent.Type);

    public override IEnumerable<string> Unprinted => Parameters.Select(pair => $"{pair.Key}={pair.Value}");

    // A record prints its members; a parameter may be secret.
    protected override bool PrintMembers(StringBuilder builder)
    {
        base.PrintMembers(builder);
        builder.Append($", Agent = {Agent}, MonitorEvery = {MonitorEvery}, CheckLevel = {CheckLevel}, HoldsProcesses = {HoldsProcesses}, Root = {Root}");
        return true;
    }
}

/// <summary><c>ocf:PROVIDER:TYPE</c>.</summary>
public sealed record OcfAgentName(string Provider, string Type)
{
    public const string Form = "ocf:PROVIDER:AGENT";

    /// <summary>Null: it is none.</summary>
    public static OcfAgentName? Parse(string text) =>
        text.Split(':') is ["ocf", var provider, var type] && IsName(provider) && IsName(type) ? new(provider, type) : null;

    public override string ToString() => $"ocf:{Provider}:{Type}";

    // They become parts of a path.
    private static bool IsName(string text) => text.Length is > 0 and <= 64 && text[0] != '.' && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or '+');
}
