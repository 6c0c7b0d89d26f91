namespace Clustd.Config;

/// <summary>Where something was written: a file (or an environment variable), line and column from 1; line 0 has no place inside it.</summary>
internal readonly record struct Place(string File, int Line, int Column);

/// <summary>What YAML says, with its place; aliases and merge keys are resolved. Environment variables join the same tree.</summary>
internal abstract record ConfigNode(Place At)
{
    /// <summary>"a list": for messages.</summary>
    public abstract string Kind { get; }

    public bool IsNull => this is ScalarNode { Quoted: false, Text: "" or "~" or "null" or "Null" or "NULL" };
}

internal sealed record ScalarNode(Place At, string Text, bool Quoted = false) : ConfigNode(At)
{
    public override string Kind => IsNull ? "nothing" : "a single value";
}

internal sealed record ListNode(Place At, IReadOnlyList<ConfigNode> Items) : ConfigNode(At)
{
    public override string Kind => "a list";
}

internal sealed record MappingNode(Place At, IReadOnlyList<MappingEntry> Entries) : ConfigNode(At)
{
    public override string Kind => "a mapping";

    public ConfigNode? this[string key] => Entries.FirstOrDefault(e => e.Key == key)?.Value;

    /// <summary>The same with one entry replaced or added.</summary>
    public MappingNode With(string key, ConfigNode value) =>
        this with { Entries = [.. Entries.Where(e => e.Key != key), new MappingEntry(key, value.At, value)] };
}

internal sealed record MappingEntry(string Key, Place KeyAt, ConfigNode Value);
