using System.Globalization;
using Clustd.Drivers;

namespace Clustd.Config;

/// <summary>
/// Reads the keys of one mapping by the key table. What is wrong goes to the problems and the default comes back, so that reading goes on and finds the
/// rest; nobody uses a configuration that has errors.
/// </summary>
internal sealed class ConfigSection
{
    private readonly MappingNode node;
    private readonly string label;
    private readonly ProblemList problems;

    /// <param name="label">Where it stands: "cluster", "services.web"; empty at the top.</param>
    /// <param name="alsoKnown">Words that are no keys of the table but get a message of their own elsewhere.</param>
    public ConfigSection(MappingNode node, string label, IEnumerable<ConfigKey> keys, ProblemList problems, params string[] alsoKnown)
    {
        (this.node, this.label, this.problems) = (node, label, problems);
        var known = keys.Select(k => k.Name).ToList();
        foreach (var entry in node.Entries.Where(e => !known.Contains(e.Key) && !alsoKnown.Contains(e.Key)))
        {
            UnknownKey(problems, entry.KeyAt, entry.Key, label, known);
        }
    }

    public static void UnknownKey(ProblemList problems, Place at, string key, string label, IReadOnlyList<string> known)
    {
        var nearest = Suggestion.Nearest(key, known);
        var where = label.Length == 0 ? "the top of the file" : $"'{label}'";
        problems.Error(at, $"Unknown key '{ProblemList.Show(key)}'", $"{where} knows {string.Join(", ", known)}",
            nearest is null ? "Remove it, or correct it." : $"Did you mean '{nearest}'?");
    }

    /// <summary>Place of a key's value, or of the section if the key is not there.</summary>
    public Place PlaceOf(ConfigKey key) => node[key.Name]?.At ?? node.At;

    public bool Has(ConfigKey key) => node[key.Name] is { IsNull: false };

    /// <summary>The mapping behind a key. Null: not there, or no mapping.</summary>
    public MappingNode? Mapping(ConfigKey key)
    {
        if (Given(key) is not { } value) return null;
        if (value is MappingNode mapping) return mapping;
        WrongKind(key, value, "a mapping");
        return null;
    }

    /// <summary>The items behind a key. Null: not there, or no list.</summary>
    public IReadOnlyList<ConfigNode>? Items(ConfigKey key)
    {
        if (Given(key) is not { } value) return null;
        if (value is ListNode list) return list.Items;
        WrongKind(key, value, "a list");
        return null;
    }

    public TimeSpan Duration(DurationKey key) => DurationOrNull(key) ?? key.Default;

    public TimeSpan? DurationOrNull(DurationKey key)
    {
        if (Scalar(key) is not { } scalar) return null;
        if (ConfigDuration.Parse(scalar.Text, out var why) is not { } duration)
        {
            var @do = scalar.Text.Length is > 0 and <= 9 && scalar.Text.All(char.IsAsciiDigit) ? $"Write '{scalar.Text}s' or '{scalar.Text}ms'." : "Write a number and a unit: 500ms, 1.5s, 2m, 1h.";
            problems.Error(scalar.At, $"{Named(key)} is not a duration", why.Length > 70 ? "the text is no number with a unit" : ProblemList.Show(why), @do);
            return null;
        }
        if (duration >= key.Min && duration <= key.Max) return duration;
        problems.Error(scalar.At, $"{Named(key)} is out of range", $"{ProblemList.Show(scalar.Text)} is not within {key.RangeText}",
            $"Choose a value from {key.RangeText}; the default is {key.DefaultText}.");
        return null;
    }

    public int Number(NumberKey key)
    {
        var fallback = key.Default ?? key.Min;
        if (Scalar(key) is not { } scalar) return fallback;
        if (!int.TryParse(scalar.Text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number))
        {
            problems.Error(scalar.At, $"{Named(key)} is not a whole number", $"it is '{ProblemList.Show(scalar.Text)}'",
                $"Write a number from {key.RangeText}.");
            return fallback;
        }
        if (number >= key.Min && number <= key.Max) return number;
        problems.Error(scalar.At, $"{Named(key)} is out of range", $"{number} is not within {key.RangeText}", $"Choose a number from {key.RangeText}.");
        return fallback;
    }

    public bool Switch(SwitchKey key)
    {
        if (Scalar(key) is not { } scalar) return key.Default;
        switch (scalar.Text)
        {
            case "true" or "True" or "TRUE": return true;
            case "false" or "False" or "FALSE": return false;
        }
        var meant = scalar.Text.ToLowerInvariant() switch { "yes" or "on" or "1" => "Write true.", "no" or "off" or "0" => "Write false.", _ => "Write true or false." };
        problems.Error(scalar.At, $"{Named(key)} is neither true nor false", $"it is '{ProblemList.Show(scalar.Text)}'", meant);
        return key.Default;
    }

    public string Choice(ChoiceKey key)
    {
        if (Scalar(key) is not { } scalar) return key.Default;
        if (key.Choices.Contains(scalar.Text)) return scalar.Text;
        var nearest = Suggestion.Nearest(scalar.Text, key.Choices);
        problems.Error(scalar.At, $"{Named(key)} is none of its words", $"'{ProblemList.Show(scalar.Text)}' is not one of {key.RangeText}",
            nearest is null ? $"Choose one of {key.RangeText}." : $"Did you mean '{nearest}'?");
        return key.Default;
    }

    /// <summary>Null: not there, or wrong. Secrets come back as written.</summary>
    public string? Text(TextKey key)
    {
        if (Scalar(key) is not { } scalar) return key.Default;
        return Formed(key, key.Form, scalar) ?? key.Default;
    }

    public IReadOnlyList<string> List(ListKey key)
    {
        var seen = new Dictionary<string, Place>(StringComparer.Ordinal);
        foreach (var item in Items(key) ?? [])
        {
            if (item is not ScalarNode { IsNull: false } scalar)
            {
                problems.Error(item.At, $"An item of {Named(key)} is not a single value", $"it is {item.Kind}",
                    $"Write each item as in `{key.Name}: {key.Example}`.");
            }
            else if (Formed(key, key.Form, scalar) is { } text && !seen.TryAdd(text, scalar.At))
            {
                problems.Error(scalar.At, $"'{ProblemList.Show(text)}' is twice in {Named(key)}", $"it was first given in line {seen[text].Line}",
                    "Remove one of the two.");
            }
        }
        return [.. seen.OrderBy(s => s.Value.Line).ThenBy(s => s.Value.Column).Select(s => s.Key)];
    }

    public IReadOnlyList<KeyValuePair<string, string>> Map(MapKey key)
    {
        var pairs = new List<KeyValuePair<string, string>>();
        foreach (var entry in Mapping(key)?.Entries ?? [])
        {
            if (entry.Value is not ScalarNode scalar)
            {
                problems.Error(entry.Value.At, $"'{ProblemList.Show(entry.Key)}' in {Named(key)} is not a single value", $"it is {entry.Value.Kind}",
                    "Write `NAME: value`.");
            }
            else if (entry.Key.Length == 0 || entry.Key.IndexOfAny(['=', '\0', '\n']) >= 0)
            {
                problems.Error(entry.KeyAt, $"'{ProblemList.Show(entry.Key)}' in {Named(key)} is no name of a variable", "it is empty or holds '='",
                    "Write `NAME: value`.");
            }
            else
            {
                pairs.Add(new(entry.Key, scalar.IsNull ? "" : scalar.Text));
            }
        }
        return pairs;
    }

    /// <summary>"'cluster.lease'".</summary>
    public string Named(ConfigKey key) => label.Length == 0 ? $"'{key.Name}'" : $"'{label}.{key.Name}'";

    private ConfigNode? Given(ConfigKey key)
    {
        var value = node[key.Name];
        if (value is { IsNull: false }) return value;
        if (key.Must)
        {
            problems.Error(value?.At ?? node.At, $"{Named(key)} is missing", "it has no default",
                $"Add `{key.Name}: {key.Example}`{(key is TextKey { Form: TextForm.Secret } ? "; `clustd secret` makes a good one" : "")}.");
        }
        return null;
    }

    private ScalarNode? Scalar(ConfigKey key)
    {
        if (Given(key) is not { } value) return null;
        if (value is not ScalarNode scalar)
        {
            WrongKind(key, value, "a single value");
            return null;
        }
        if (scalar.Text.Length > 0) return scalar;
        problems.Error(scalar.At, $"{Named(key)} is empty", "'' is no value",
            $"{(key.Must ? "Write" : "Remove the key, or write")} `{key.Name}: {key.Example}`.");
        return null;
    }

    private void WrongKind(ConfigKey key, ConfigNode value, string wanted) =>
        problems.Error(value.At, $"{Named(key)} is {value.Kind}", $"it should be {wanted}", $"Write `{key.Name}: {key.Example}`.");

    private string? Formed(ConfigKey key, TextForm form, ScalarNode scalar)
    {
        switch (form)
        {
            case TextForm.Id:
                if (ConfigName.WhyNot(scalar.Text) is not { } whyNot) return scalar.Text;
                problems.Error(scalar.At, $"'{ProblemList.Show(scalar.Text)}' in {Named(key)} cannot be an id", whyNot, ConfigName.Rule);
                return null;
            case TextForm.Host:
                if (MachineAddress.NormaliseHost(scalar.Text) is { } host) return host;
                problems.Error(scalar.At, $"{Named(key)} is not an address", $"'{ProblemList.Show(scalar.Text)}' is neither an IP address nor a host name",
                    $"Write it as in `{key.Name}: {key.Example}`.");
                return null;
            case TextForm.Address:
                // The path of the driver door is the only one, so writing it out is right too.
                var plain = key == ConfigKeys.FileHost && scalar.Text.EndsWith("/v1/driver", StringComparison.Ordinal) ? scalar.Text[..^"/v1/driver".Length] : scalar.Text;
                if (MachineAddress.Parse(plain, out var why) is { } address) return address.ToString();
                // What stands before an '@' may be a password.
                var shown = scalar.Text.Contains('@') ? "The text" : $"'{ProblemList.Show(scalar.Text)}'";
                problems.Error(scalar.At, $"{shown} in {Named(key)} is not an address", ProblemList.Show(why),
                    "Write it as `ws://HOST:PORT`, for example ws://10.0.0.1:3001.");
                return null;
            case TextForm.Any or TextForm.Path when scalar.Text.Contains('\0'):
                problems.Error(scalar.At, $"{Named(key)} holds a null character", "no program can be given such a text", "Remove it.");
                return null;
            default:
                return scalar.Text;
        }
    }
}

/// <summary>The rule for names of machines, services and drivers: they become folders, URLs and metric labels.</summary>
public static class ConfigName
{
    public const int LengthMax = 64;
    public const string Rule = "Use letters, digits and . _ - , at most 64, the first a letter or a digit.";

    /// <summary>Null if it is a good name.</summary>
    public static string? WhyNot(string name)
    {
        if (name.Length == 0) return "it is empty";
        if (name.Length > LengthMax) return $"it has {name.Length} characters";
        foreach (var c in name)
        {
            if (!char.IsAsciiLetterOrDigit(c) && c is not ('.' or '_' or '-')) return char.IsControl(c) ? "it holds a control character" : $"it holds '{c}'";
        }
        return char.IsAsciiLetterOrDigit(name[0]) ? null : $"it begins with '{name[0]}'";
    }
}
