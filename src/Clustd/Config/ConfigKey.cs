namespace Clustd.Config;

/// <summary>
/// One key that a file may hold: the loader, docs/config.md and docs/config.schema.json all follow from it, and tests keep them together.
/// <paramref name="Section"/> is where it stands ("cluster", "services.NAME"), <paramref name="Meaning"/> one sentence,
/// <paramref name="Example"/> a value as written in YAML.
/// </summary>
public abstract record ConfigKey(string Section, string Name, string Meaning, string Example)
{
    /// <summary>The default when it is no constant: "the host name". Null: the constant.</summary>
    public string? DefaultWords { get; init; }

    /// <summary>Without this key the file is not valid.</summary>
    public bool Must { get; init; }

    /// <summary>"1s", "the host name", "none", "(must be given)".</summary>
    public string DefaultText => Must ? "(must be given)" : DefaultWords ?? ConstantText ?? "none";

    /// <summary>"duration", "list of machine ids".</summary>
    public abstract string TypeText { get; }

    /// <summary>"100ms to 1h"; "any" if there is no limit.</summary>
    public virtual string RangeText => "any";

    protected abstract string? ConstantText { get; }
}

public sealed record DurationKey(string Section, string Name, TimeSpan Default, TimeSpan Min, TimeSpan Max, string Meaning, string Example)
    : ConfigKey(Section, Name, Meaning, Example)
{
    public override string TypeText => "duration";
    public override string RangeText => $"{ConfigDuration.Text(Min)} to {ConfigDuration.Text(Max)}";
    protected override string? ConstantText => ConfigDuration.Text(Default);
}

public sealed record NumberKey(string Section, string Name, int? Default, int Min, int Max, string Meaning, string Example)
    : ConfigKey(Section, Name, Meaning, Example)
{
    public override string TypeText => "whole number";
    public override string RangeText => $"{Min} to {Max}";
    protected override string? ConstantText => Default?.ToString(System.Globalization.CultureInfo.InvariantCulture);
}

public sealed record SwitchKey(string Section, string Name, bool Default, string Meaning, string Example)
    : ConfigKey(Section, Name, Meaning, Example)
{
    public override string TypeText => "true or false";
    public override string RangeText => "true, false";
    protected override string? ConstantText => Default ? "true" : "false";
}

public sealed record ChoiceKey(string Section, string Name, string Default, IReadOnlyList<string> Choices, string Meaning, string Example)
    : ConfigKey(Section, Name, Meaning, Example)
{
    public override string TypeText => "one of several words";
    public override string RangeText => string.Join(", ", Choices);
    protected override string? ConstantText => Default;
}

/// <summary>What a text, or each item of a list, must look like.</summary>
public enum TextForm
{
    Any,

    /// <summary>An id: letters, digits and . _ - , at most 64.</summary>
    Id,

    /// <summary>An IP address or a host name.</summary>
    Host,

    /// <summary>"ws://host:port".</summary>
    Address,

    /// <summary>A secret, or where it is read: "file:/path", "credential:NAME".</summary>
    Secret,

    /// <summary>The same for what somebody else has made and measures: a token of a provider.</summary>
    Credential,

    Path,
}

public sealed record TextKey(string Section, string Name, TextForm Form, string? Default, string Meaning, string Example)
    : ConfigKey(Section, Name, Meaning, Example)
{
    public override string TypeText => ConfigKeyText.One(Form);
    public override string RangeText => ConfigKeyText.Range(Form);
    protected override string? ConstantText => Default;
}

/// <summary>A list of texts; in an environment variable, separated by commas.</summary>
public sealed record ListKey(string Section, string Name, TextForm Form, string Meaning, string Example)
    : ConfigKey(Section, Name, Meaning, Example)
{
    public override string TypeText => $"list, each: {ConfigKeyText.One(Form)}";
    public override string RangeText => ConfigKeyText.Range(Form);
    protected override string? ConstantText => null;
}

/// <summary>A mapping of names to texts.</summary>
public sealed record MapKey(string Section, string Name, string Meaning, string Example) : ConfigKey(Section, Name, Meaning, Example)
{
    public override string TypeText => "mapping of names to texts";
    protected override string? ConstantText => null;
}

/// <summary>A key that opens a section of its own.</summary>
public sealed record SectionKey(string Section, string Name, string Opens, bool IsList, string Meaning, string Example)
    : ConfigKey(Section, Name, Meaning, Example)
{
    public override string TypeText => IsList ? "list" : "mapping";
    protected override string? ConstantText => null;
}

file static class ConfigKeyText
{
    public static string One(TextForm form) => form switch
    {
        TextForm.Id => "id",
        TextForm.Host => "IP address or host name",
        TextForm.Address => "address",
        TextForm.Secret or TextForm.Credential => "secret",
        TextForm.Path => "path",
        _ => "text",
    };

    public static string Range(TextForm form) => form switch
    {
        TextForm.Id => "letters, digits, `.` `_` `-`; at most 64",
        TextForm.Address => "`ws://HOST:PORT`",
        TextForm.Secret => "128 bits or more, `file:/PATH` or `credential:NAME`",
        TextForm.Credential => "text, `file:/PATH` or `credential:NAME`",
        _ => "any",
    };
}
