using System.Globalization;
using System.Xml;

namespace Clustd.Drivers.Ocf;

internal sealed record OcfParameter(string Name, bool IsRequired, string? Default);

/// <summary>What an agent says about itself (<c>meta-data</c>): its parameters, its actions and how long they may take at least.</summary>
internal sealed class OcfMetadata
{
    private const int CharactersMax = 4_000_000;
    private static readonly TimeSpan TimeoutDefault = TimeSpan.FromSeconds(20), TimeoutMax = TimeSpan.FromHours(1);

    public List<OcfParameter> Parameters { get; } = [];

    /// <summary>Action and the least timeout that the agent advises.</summary>
    public SortedDictionary<string, TimeSpan> Actions { get; } = new(StringComparer.Ordinal);

    public TimeSpan TimeoutOf(string action) => Actions.GetValueOrDefault(action, TimeoutDefault);

    /// <exception cref="DriverFailedException">It is no meta-data of an agent.</exception>
    public static OcfMetadata Parse(string xml, OcfAgentName agent)
    {
        // No document type is fetched, no entity resolved: an agent is root's, but its output need not be.
        var settings = new XmlReaderSettings { DtdProcessing = DtdProcessing.Ignore, XmlResolver = null, MaxCharactersInDocument = CharactersMax, IgnoreComments = true };
        var metadata = new OcfMetadata();
        bool isAgent = false;
        try
        {
            using var reader = XmlReader.Create(new StringReader(xml.TrimStart()), settings);
            while (reader.Read())
            {
                if (reader.NodeType != XmlNodeType.Element) continue;
                switch (reader.Name)
                {
                    case "resource-agent":
                        isAgent = true;
                        break;
                    case "parameter" when reader.GetAttribute("name") is { Length: > 0 } name:
                        metadata.Parameters.Add(new(name, IsTrue(reader.GetAttribute("required")), null));
                        break;
                    case "content" when metadata.Parameters is [.., var last]:
                        metadata.Parameters[^1] = last with { Default = reader.GetAttribute("default") };
                        break;
                    case "action" when reader.GetAttribute("name") is { Length: > 0 } action:
                        metadata.Add(action, Duration(reader.GetAttribute("timeout")));
                        break;
                }
            }
        }
        catch (XmlException e)
        {
            throw new DriverFailedException($"Cannot use {agent}: its meta-data is not XML: {e.Message} Reinstall its package.", e);
        }
        if (!isAgent) throw new DriverFailedException($"Cannot use {agent}: its meta-data describes no resource agent. Is it one?");
        return metadata;
    }

    /// <summary>What is wrong with the parameters of the file, each as three parts; empty when all is well.</summary>
    public IReadOnlyList<string> Check(IReadOnlyDictionary<string, string> given, OcfAgentName agent)
    {
        var names = Parameters.Select(parameter => parameter.Name).ToList();
        var errors = new List<string>();
        foreach (string unknown in given.Keys.Where(name => !names.Contains(name)).Order(StringComparer.Ordinal))
        {
            string toDo = Suggestion.Nearest(unknown, names) is { } nearest ? $"Did you mean '{nearest}'?" : $"It knows {string.Join(", ", names)}.";
            errors.Add($"Parameter '{unknown}' is none of {agent}: its meta-data does not name it. {toDo}");
        }
        foreach (var missing in Parameters.Where(parameter => parameter.IsRequired && string.IsNullOrEmpty(parameter.Default) && !given.ContainsKey(parameter.Name)))
            errors.Add($"Parameter '{missing.Name}' is missing: {agent} requires it. Add `{missing.Name}: ...` to `parameters`.");
        return errors;
    }

    // Several monitors with depths and roles: the longest holds.
    private void Add(string action, TimeSpan timeout) => Actions[action] = Actions.TryGetValue(action, out var known) && known > timeout ? known : timeout;

    private static bool IsTrue(string? text) => text is "1" or "true" or "yes";

    // "20s", "20", "20000ms", "1min", "2m".
    private static TimeSpan Duration(string? text)
    {
        text = text?.Trim() ?? "";
        int digits = text.TakeWhile(char.IsAsciiDigit).Count();
        if (!double.TryParse(text.AsSpan(0, digits), NumberStyles.None, CultureInfo.InvariantCulture, out double number) || number <= 0) return TimeoutDefault;
        double seconds = text[digits..].Trim() switch { "ms" or "msec" => number / 1000, "m" or "min" => number * 60, "h" or "hr" => number * 3600, _ => number };
        return seconds < TimeoutMax.TotalSeconds ? TimeSpan.FromSeconds(seconds) : TimeoutMax;
    }
}
