using System.Text.Json;
using System.Text.RegularExpressions;
using Clustd.Http;
using Clustd.Tests.Http;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Docs;

/// <summary>docs/api.md and the API know the same routes, fields and token.</summary>
public sealed partial class ApiDocsTests
{
    private static readonly string Page = Repository.Text("docs/api.md");

    [Fact]
    public void Every_route_is_documented_and_no_other()
    {
        // From the source: a route table of ASP.NET Core would need a host.
        var served = MappedRoute().Matches(Repository.Text("src/Clustd/Http/Api.cs")).Select(match => match.Groups["path"].Value).ToList();
        served.Count.ShouldBeGreaterThan(5);
        var documented = TableRoute().Matches(Page).Select(match => match.Groups["path"].Value).Distinct();
        documented.Order(StringComparer.Ordinal).ShouldBe(served.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Every_field_of_the_status_is_documented_and_no_other()
    {
        var context = new StatusContext { Process = Views.Process, Watchdogs = [new WatchdogStatus("/dev/watchdog", "iTCO_wdt", 1000, 20, null)], Warnings = [new StatusWarning("stuck", "It is.")] };
        // Two machines together have all there is: one that knows, and one that knew.
        var fields = Fields(StatusView.From(Views.Leader with { Drivers = [Views.Driver("web-shell", true)] }, context), ApiJson.Default.StatusView)
            .Union(Fields(StatusView.From(Views.CutOff, context), ApiJson.Default.StatusView));
        Documented("status").Order(StringComparer.Ordinal).ShouldBe(fields.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Every_field_of_the_events_is_documented_and_no_other()
    {
        var events = new EventsView("local", 20, 2, 9, [new EventView(9, 3, null, "running", null, null, null, "'web' runs on cm-1.")]);
        Documented("events").Order(StringComparer.Ordinal).ShouldBe(Fields(events, ApiJson.Default.EventsView).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void The_examples_are_what_a_program_would_read()
    {
        JsonSerializer.Deserialize(Example("status"), ApiJson.Default.StatusView).ShouldNotBeNull().Services.ShouldHaveSingleItem().Master.ShouldBe("cm-1");
        JsonSerializer.Deserialize(Example("events"), ApiJson.Default.EventsView).ShouldNotBeNull().Events.ShouldHaveSingleItem().Kind.ShouldBe("running");
        Paths(JsonDocument.Parse(Example("status")).RootElement, "").Distinct().Order(StringComparer.Ordinal)
            .ShouldBe(Documented("status").Where(field => !field.Contains("lastKnown.")).Order(StringComparer.Ordinal));
        Paths(JsonDocument.Parse(Example("events")).RootElement, "").Distinct().Order(StringComparer.Ordinal).ShouldBe(Documented("events").Order(StringComparer.Ordinal));
    }

    // Catches: a derivation that changes under the scripts that people made of the page.
    [Fact]
    public void The_token_on_the_page_is_that_of_its_secret() => Page.ShouldContain($"gives `{ApiToken.Derive("correct horse battery staple")}`");

    [Fact]
    public void Every_kind_of_event_is_documented()
    {
        var source = Repository.Text("src/Clustd.Core/Cluster/StateMachine.cs");
        var kinds = EventKind().Matches(source).SelectMany(match => Word().Matches(match.Groups["kind"].Value)).Select(match => match.Groups["word"].Value).Distinct().ToList();
        kinds.Count.ShouldBeGreaterThan(10);
        kinds.Where(kind => !Page.Contains($"`{kind}`")).ShouldBeEmpty();
    }

    private static string Example(string name) => Regex.Match(Page, $@"<!-- example: {name} -->\n```json\n(?<text>.*?)```", RegexOptions.Singleline).Groups["text"].Value;

    private static List<string> Documented(string name)
    {
        var table = Regex.Match(Page, $"<!-- fields: {name} -->(?<rows>.*?)<!-- end -->", RegexOptions.Singleline).Groups["rows"].Value;
        return [.. FieldRow().Matches(table).Select(match => match.Groups["field"].Value)];
    }

    private static List<string> Fields<T>(T value, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type) =>
        [.. Paths(JsonSerializer.SerializeToElement(value, type), "").Distinct()];

    /// <summary>"machines[].lastKnown.state": every property, objects and lists included.</summary>
    private static IEnumerable<string> Paths(JsonElement element, string path) => element.ValueKind switch
    {
        JsonValueKind.Object => element.EnumerateObject().SelectMany(property =>
        {
            var name = path.Length == 0 ? property.Name : $"{path}.{property.Name}";
            var inner = Paths(property.Value, name);
            // Of an object that is always there its fields say enough.
            return path.Length == 0 && property.Value.ValueKind == JsonValueKind.Object ? inner : inner.Prepend(name);
        }),
        JsonValueKind.Array => element.EnumerateArray().Where(item => item.ValueKind == JsonValueKind.Object).SelectMany(item => Paths(item, $"{path}[]")),
        _ => [],
    };

    [GeneratedRegex(@"Add\(routes, ""(?<path>[^""]+)""")]
    private static partial Regex MappedRoute();

    [GeneratedRegex(@"^\| `(?<path>/[^`]+)` \|", RegexOptions.Multiline)]
    private static partial Regex TableRoute();

    [GeneratedRegex(@"^\| `(?<field>[^`]+)` \|", RegexOptions.Multiline)]
    private static partial Regex FieldRow();

    [GeneratedRegex(@"\.Happened\(entry, (?<kind>(?:[\w.]+ \? )?""[^)]*?)(?:, \w+\.(?:Reason|Machine)|, \$|, sentence|$)", RegexOptions.Multiline)]
    private static partial Regex EventKind();

    [GeneratedRegex(@"""(?<word>[a-z-]+)""")]
    private static partial Regex Word();
}
