using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Clustd.Config;

/// <summary>
/// Text to nodes. Stands on YamlDotNet's event parser, not on its representation model: that one is recursive (a few thousand '[' overflow the stack,
/// which nobody can catch) and stops at the first duplicate key. No reflection either way.
/// </summary>
internal sealed class YamlReader(string text, string file, ProblemList problems)
{
    private const int DepthMax = 32;
    private const int MergedEntriesMax = 10_000; // merge keys can multiply a small file

    private readonly Dictionary<string, ConfigNode> anchors = new(StringComparer.Ordinal);
    private readonly Stack<Open> open = new();
    private ConfigNode? root;
    private int mergedEntries;

    /// <summary>A mapping or list whose end has not come yet.</summary>
    private sealed record Open(NodeEvent Start, List<ConfigNode> Items, bool IsMapping, bool IsFlow);

    private sealed class RefusedException : Exception;

    /// <summary>The file's mapping. Null: it is none, and why stands among the errors.</summary>
    public MappingNode? Read()
    {
        var last = new Mark(0, 1, 1);
        try
        {
            var parser = new Parser(new StringReader(text));
            while (parser.MoveNext())
            {
                last = parser.Current!.Start;
                Take(parser.Current);
            }
        }
        catch (RefusedException)
        {
            return null;
        }
        // YamlDotNet throws YamlException for most bad texts, and InvalidOperationException, ArgumentException and others for some.
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            ReportSyntax(e, last);
            return null;
        }
        switch (root)
        {
            case MappingNode mapping: return mapping;
            case null or { IsNull: true }:
                problems.Error(new Place(file, 1, 1), "The file is empty", "it holds no keys", "Write one with `clustd init ADDRESS...`.");
                return null;
            default:
                problems.Error(root.At, "The file is not a mapping", $"it is {root.Kind}, not keys with values",
                    "Begin with `cluster:`; `clustd init ADDRESS...` writes an example.");
                return null;
        }
    }

    private void Take(ParsingEvent now)
    {
        switch (now)
        {
            case DocumentStart when root is not null:
                Refuse(PlaceOf(now), "The file holds a second document", "'---' begins another one and clustd reads one", "Keep one document per file.");
                break;
            case Scalar scalar:
                Add(new ScalarNode(PlaceOf(now), scalar.Value, scalar.Style is not ScalarStyle.Plain), scalar);
                break;
            case AnchorAlias alias:
                if (!anchors.TryGetValue(alias.Value.Value, out var target))
                {
                    Refuse(PlaceOf(now), $"The alias '*{ProblemList.Show(alias.Value.Value)}' has no anchor",
                        "nothing complete before it is marked with that name", "Mark the value with '&NAME' above, or write it out.");
                }
                Add(target! with { At = PlaceOf(now) }, null);
                break;
            case MappingStart start: Begin(start, isMapping: true, start.Style == MappingStyle.Flow); break;
            case SequenceStart start: Begin(start, isMapping: false, start.Style == SequenceStyle.Flow); break;
            case MappingEnd or SequenceEnd: End(); break;
        }
    }

    private void Begin(NodeEvent start, bool isMapping, bool isFlow)
    {
        if (open.Count >= DepthMax)
        {
            Refuse(PlaceOf(start), "The file is nested too deeply", $"there are more than {DepthMax} levels",
                "Close the brackets, or correct the indentation.");
        }
        open.Push(new Open(start, [], isMapping, isFlow));
    }

    private void End()
    {
        var done = open.Pop();
        Add(done.IsMapping ? Mapping(done) : new ListNode(PlaceOf(done.Start), done.Items), done.Start);
    }

    private void Add(ConfigNode node, NodeEvent? source)
    {
        // Registered when complete: an alias inside its own anchor finds nothing, so the tree has no cycles.
        if (source is { Anchor.IsEmpty: false }) anchors[source.Anchor.Value] = node;
        if (open.TryPeek(out var parent)) parent.Items.Add(node);
        else root = node;
    }

    private MappingNode Mapping(Open done)
    {
        var entries = new List<MappingEntry>();
        var merged = new List<MappingEntry>();
        var seen = new Dictionary<string, Place>(StringComparer.Ordinal);
        for (var i = 0; i + 1 < done.Items.Count; i += 2)
        {
            var value = done.Items[i + 1];
            if (done.Items[i] is not ScalarNode key)
            {
                problems.Error(done.Items[i].At, $"A key is {done.Items[i].Kind}", "a key is one word", "Write `key: value`.");
            }
            else if (key is { Text: "<<", Quoted: false })
            {
                Merge(value, merged);
            }
            else if (!seen.TryAdd(key.Text, key.At))
            {
                problems.Error(key.At, $"'{ProblemList.Show(key.Text)}' is there twice", $"it was first given in line {seen[key.Text].Line}",
                    "Keep one of the two.");
            }
            else
            {
                entries.Add(new MappingEntry(key.Text, key.At, value));
            }
        }
        foreach (var entry in merged)
        {
            if (seen.TryAdd(entry.Key, entry.KeyAt)) entries.Add(entry);
        }
        return new MappingNode(PlaceOf(done.Start), entries);
    }

    private void Merge(ConfigNode value, List<MappingEntry> into)
    {
        IEnumerable<ConfigNode> sources = value is ListNode list ? list.Items : [value];
        foreach (var source in sources)
        {
            if (source is not MappingNode mapping)
            {
                problems.Error(source.At, "'<<' cannot take this in", $"it is {source.Kind}, only mappings can be merged",
                    "Give it the alias of a mapping, `<<: *NAME`.");
                continue;
            }
            mergedEntries += mapping.Entries.Count;
            if (mergedEntries > MergedEntriesMax)
            {
                Refuse(value.At, "The file merges too much", $"'<<' brought in more than {MergedEntriesMax} entries", "Write the values out.");
            }
            into.AddRange(mapping.Entries);
        }
    }

    private void ReportSyntax(Exception error, Mark last)
    {
        var (mark, reason) = error is YamlException yaml ? (yaml.Start, yaml.Message) : (last, "");
        if (open.FirstOrDefault(o => o.IsFlow) is { } bracket)
        {
            var (begin, end) = bracket.IsMapping ? ('{', '}') : ('[', ']');
            problems.Error(PlaceOf(bracket.Start), $"The bracket '{begin}' is not closed",
                $"'{end}' or a comma is missing before line {mark.Line}, column {mark.Column}", $"Close it with '{end}', and put commas between the items.");
        }
        else if (TabIndentation() is { } tab && tab.Line >= mark.Line - 1)
        {
            problems.Error(tab, "A line is indented with a tab", "YAML allows only spaces there", "Replace the tab with spaces.");
        }
        else if (reason.Contains("found invalid mapping", StringComparison.Ordinal))
        {
            problems.Error(At(mark), "A ':' stands where none can be", "the value before it has begun already, or the line is indented too far",
                "Correct the indentation, or put the value in quotes.");
        }
        else if (reason.Contains("unexpected end of stream", StringComparison.Ordinal) && reason.Contains("quoted", StringComparison.Ordinal))
        {
            problems.Error(At(mark), "A quote is not closed", "the file ends before the second quote", "Close it.");
        }
        else
        {
            var why = reason.Length == 0 ? "the text ends or changes in the middle of something" : ProblemList.Show(char.ToLowerInvariant(reason[0]) + reason[1..].TrimEnd('.'), 160);
            problems.Error(At(mark), "This is not valid YAML", why, "Check indentation, quotes and brackets here and in the line above.");
        }
    }

    private Place? TabIndentation()
    {
        var lines = text.Split('\n');
        for (var i = 0; i < lines.Length; i++)
        {
            var indentation = lines[i].Length - lines[i].TrimStart(' ', '\t').Length;
            var tab = lines[i].IndexOf('\t', 0, indentation);
            if (tab >= 0) return new Place(file, i + 1, tab + 1);
        }
        return null;
    }

    private void Refuse(Place at, string what, string why, string @do)
    {
        problems.Error(at, what, why, @do);
        throw new RefusedException();
    }

    private Place PlaceOf(ParsingEvent e) => At(e.Start);

    private Place At(Mark mark) => new(file, (int)Math.Max(1, mark.Line), (int)Math.Max(1, mark.Column));
}
