using System.Globalization;
using System.Text.RegularExpressions;
using Clustd.Core;

namespace Clustd.Simulation.Scripts;

/// <summary>
/// Turns what happens in a world into the lines of a story: what the product tells people, what drivers are told, what reaches the outside resource, and for how
/// long nobody was master. What the cluster has agreed on is told once, by whoever applies it first; the traffic of consensus is left out.
/// </summary>
internal sealed partial class Recorder
{
    private const int Width = 132;
    private const int SentenceAt = 18;

    // Said in the same step by a trigger, or by what the cluster agrees on: once is enough to read.
    private static readonly HashSet<string> SaidElsewhere = ["service-assigned", "driver-told", "service-running", "leader", "driver-adopted-again"];

    private static readonly string[] Worth =
        ["triggers ", "does not start: ", "refuses a driver: ", "has said goodbye", "exits to be started", "driver "];

    private readonly HashSet<(long Index, string Sentence)> _agreed = [];
    private readonly Dictionary<ServiceName, long> _withoutSince = [];
    private readonly HashSet<ServiceName> _hadMaster = [];
    private readonly Dictionary<ServiceName, long> _longest = [];
    private readonly Dictionary<ServiceName, HashSet<Act>> _acts = [];
    private readonly Dictionary<ServiceName, int> _changes = [];
    private readonly HashSet<string> _said = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _repeated = new(StringComparer.Ordinal);
    private List<string> _lines = [];

    /// <summary>Where the story's clock stands at 0, µs of true time.</summary>
    public long Zero { get; set; }

    public bool IsSilent { get; set; }


    public void Hear(long time, string who, object what)
    {
        if (what is Output.Noted { Severity: not Severity.Debug, Sentence: var sentence })
        {
            _said.Add(sentence);
        }

        switch (what)
        {
            case Output.Noted { Index: { } index } noted when _agreed.Add((index, noted.Sentence)):
                Add(time, "cluster", $"{noted.Kind}: {noted.Sentence}");
                break;
            case Output.Noted { Index: null, Severity: not Severity.Debug } noted when !SaidElsewhere.Contains(noted.Kind):
                Add(time, who, $"{(noted.Severity >= Severity.Warning ? $"{noted.Severity.ToString().ToLowerInvariant()} " : "")}{noted.Kind}: {noted.Sentence}");
                break;
            case Output.RequestAnswered answered:
                Add(time, who, $"{(answered.Outcome.Done ? "answers" : "answers, not done")}: {answered.Outcome.Sentence}");
                break;
            case Output.BarrierAnswered answered:
                Add(time, who, $"answers the read: {(answered.Index is { } upTo ? $"confirmed, up to entry {upTo}" : answered.Sentence)}");
                break;
            case Output.StoreRefused refused:
                Add(time, who, $"error store-refused: {refused.Reason} The daemon ends.");
                break;
            case string act when act.StartsWith("** leads", StringComparison.Ordinal):
                break;
            case string act when act.StartsWith("** ", StringComparison.Ordinal):
                Add(time, who, act[3..]);
                break;
            case string text when who == "resource" || Array.Exists(Worth, text.StartsWith):
                Add(time, who, WithoutKnownReason(SequenceNumber().Replace(text, "")));
                break;
        }
    }

    /// <summary>To be called after every event: notices when a service has a master, and when not.</summary>
    public void Look(World world)
    {
        foreach (var service in world.Scenario.Services)
        {
            var name = service.Name;
            var acts = world.Acting.Acts.Where(act => act.Service == name).ToHashSet();
            if (!_acts.GetValueOrDefault(name, []).SetEquals(acts))
            {
                _acts[name] = acts;
                _changes[name] = ChangesOf(name) + 1;
            }

            if (!world.Acting.IsActing(name))
            {
                _withoutSince.TryAdd(name, world.Events.Now);
            }
            else if (_withoutSince.Remove(name, out var since) | !_hadMaster.Add(name) && since > 0)
            {
                var gap = world.Events.Now - since;
                _longest[name] = Math.Max(_longest.GetValueOrDefault(name), gap);
                Add(world.Events.Now, name.Value, $"has a master again, after {Seconds(gap)} without one");
            }
        }
    }

    /// <summary>From here on changes and times without a master count anew.</summary>
    public void Mark()
    {
        _longest.Clear();
        _changes.Clear();
    }

    /// <summary>How often since <see cref="Mark"/> something began or ended to act for it.</summary>
    public int ChangesOf(ServiceName service) => _changes.GetValueOrDefault(service);

    /// <summary>The longest time since <see cref="Mark"/> that a service which once had a master had none, µs; an open one counts up to `now`.</summary>
    public long LongestOf(ServiceName service, long now) =>
        Math.Max(_longest.GetValueOrDefault(service), _withoutSince.TryGetValue(service, out var since) && _hadMaster.Contains(service) ? now - since : 0);

    /// <summary>A line of the script's own.</summary>
    public void Say(string sentence) => Wrap(sentence, sentence.StartsWith(' ') ? 6 : 2);

    public IReadOnlyList<string> TakeLines()
    {
        var again = _repeated.Values.Sum();
        if (again > 0)
        {
            Say($"(and the same again, {again} times)");
        }

        var lines = _lines;
        _lines = [];
        _repeated.Clear();
        return lines;
    }

    public static string Seconds(long microseconds) => string.Create(CultureInfo.InvariantCulture, $"{microseconds / 1e6:0.000} s");

    // A trigger repeats the reason of the decision behind it; it stands a line or two above.
    private string WithoutKnownReason(string text)
    {
        foreach (var known in _said)
        {
            if (text.EndsWith($": {known}", StringComparison.Ordinal))
            {
                return text[..^(known.Length + 2)];
            }
        }

        return text;
    }

    // Of a call: random, and of no meaning to a reader.
    [GeneratedRegex(@"( in)? #\d+")]
    private static partial Regex SequenceNumber();

    private void Add(long time, string who, string sentence)
    {
        if (!IsSilent && !_repeated.TryAdd($"{who} {sentence}", 0))
        {
            _repeated[$"{who} {sentence}"]++; // A refusal with every connection, say: once per command is enough to read.
        }
        else if (!IsSilent)
        {
            Wrap(string.Create(CultureInfo.InvariantCulture, $"{(time - Zero) / 1e6,7:0.000}  {who,-8} {sentence}"), SentenceAt);
        }
    }

    private void Wrap(string line, int hang)
    {
        while (line.Length > Width && line.LastIndexOf(' ', Width) is var at && at > hang)
        {
            _lines.Add(line[..at]);
            line = new string(' ', hang) + line[(at + 1)..];
        }

        _lines.Add(line);
    }
}
