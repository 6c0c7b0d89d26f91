using System.Collections.Frozen;

namespace Clustd.Drivers.Ocf;

/// <summary>
/// Which agents work without Pacemaker, and why the others do not: <c>agents.txt</c>, found by reading what each agent of Debian's package calls. An agent that asks Pacemaker would
/// hang or fail at the worst moment.
/// </summary>
public static class OcfAgentList
{
    private const string Provider = "heartbeat";

    private static readonly Lazy<FrozenDictionary<string, string>> Verdicts = new(Load);

    /// <summary>Of the provider "heartbeat".</summary>
    public static IEnumerable<string> Working => Verdicts.Value.Where(pair => pair.Value.Length == 0).Select(pair => pair.Key).Order(StringComparer.Ordinal);

    /// <summary>By name, why they are refused.</summary>
    public static IEnumerable<KeyValuePair<string, string>> Refused => Verdicts.Value.Where(pair => pair.Value.Length > 0).OrderBy(pair => pair.Key, StringComparer.Ordinal);

    /// <summary>Whether anybody has examined it.</summary>
    public static bool Has(OcfAgentName agent) => agent.Provider == Provider && Verdicts.Value.ContainsKey(agent.Type);

    /// <summary>Why it cannot work: "calls crm_attribute of Pacemaker". Null: it works, or nobody knows.</summary>
    public static string? WhyNot(OcfAgentName agent) => Has(agent) && Verdicts.Value[agent.Type] is { Length: > 0 } reason ? reason : null;

    private static FrozenDictionary<string, string> Load()
    {
        using Stream stream = typeof(OcfAgentList).Assembly.GetManifestResourceStream("ocf-agents.txt")!;
        using var reader = new StreamReader(stream);
        var verdicts = new Dictionary<string, string>(StringComparer.Ordinal);
        while (reader.ReadLine() is { } line)
        {
            if (line.StartsWith("works ", StringComparison.Ordinal)) verdicts.Add(line["works ".Length..], "");
            else if (line.StartsWith("refused ", StringComparison.Ordinal) && line["refused ".Length..].Split(": ", 2) is [var name, var reason]) verdicts.Add(name, reason);
        }
        return verdicts.ToFrozenDictionary(StringComparer.Ordinal);
    }
}
