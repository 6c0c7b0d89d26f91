using System.Diagnostics;
using Clustd.Config;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using Shouldly;
using Xunit;
using static Clustd.Tests.Config.ConfigTestWorld;

namespace Clustd.Tests.Config;

/// <summary>Whatever is in a file, the loader answers with problems or a configuration, and soon.</summary>
public sealed class ConfigFuzzTests
{
    private static readonly string Whole = """
        server: { bind_address: 10.0.0.1, bind_port: 3001, remote_address: ws://10.0.0.1:3001, data_dir: data }
        cluster:
          secret: 0123456789abcdefghijKLMNOPQRSTUV
          id: cm-1
          machines: [ws://10.0.0.2:3001, ws://10.0.0.3:3001]
          lease: 1s
        services:
          web: &web { start_timeout: 30s, prefer: [cm-1], apart_from: [bot] }
          bot: { <<: *web, apart_from: [web], on_stop_failure: block }
        drivers:
          - shell: { service: web, run: './web --port 8080' }
          - shell: { service: bot, start: ./start.sh, stop: ./stop.sh, env: { MY_VAR: 2 } }
        """;

    private static readonly string[] Pieces =
        ["[", "]", "{", "}", ":", ": ", "- ", "\n", "\n  ", "\t", "'", "\"", "&a ", "*a", "<<: *web", "!!int ", "|", ">", "#", "%", "@", "`", "---\n", "...\n", "?", ",", "\0", "\u0085", "\ud800", "é", "🙂", "-1", "99999999999999999999", "~", "1e9s", "\r", "\\x"];

    [Property(MaxTest = 2000)]
    public void Any_text_is_answered(string? text) => Answered(text ?? "");

    [Property(MaxTest = 3000)]
    public Property A_damaged_file_is_answered()
    {
        var edits = Gen.Zip(Gen.Choose(0, Whole.Length - 1), Gen.Zip(Gen.Choose(0, 12), Gen.Elements(Pieces))).NonEmptyListOf();
        return Prop.ForAll(edits.ToArbitrary(), list =>
        {
            var text = Whole;
            foreach (var (at, (removed, piece)) in list.Take(8))
            {
                var from = Math.Min(at, text.Length);
                text = text[..from] + piece + text[Math.Min(text.Length, from + removed)..];
            }
            Answered(text);
        });
    }

    [Property(MaxTest = 1000)]
    public Property Any_value_of_any_key_is_answered()
    {
        var cases = Gen.Zip(Gen.Elements(ConfigKeys.All.ToArray()), Gen.Elements("", "1", "[]", "{}", "[[]]", "[1, {}]", "{a: [b]}", "~", "' '", "\"\\0\"", "-", "99999999999h", "ws://", "ws://[::1", "1.1.1", "*x", "&x 5", "file:\0", "..", "2s, 3s", "'a\nb'"));
        return Prop.ForAll(cases.ToArbitrary(), c =>
        {
            var (key, value) = c;
            Answered(key.Section switch
            {
                ConfigKeys.Top => $"{key.Name}: {value}",
                ConfigKeys.ServiceSection => $"services:\n  a:\n    {key.Name}: {value}",
                _ when key.Section.StartsWith("drivers[].", StringComparison.Ordinal) => $"drivers:\n  - {key.Section["drivers[].".Length..]}:\n      {key.Name}: {value}",
                ConfigKeys.DriverFileTop => $"{key.Name}: {value}",
                _ => $"{key.Section}:\n  {key.Name}: {value}",
            });
        });
    }

    [Property(MaxTest = 1000)]
    public void Any_variable_is_answered(string? name, string? value)
    {
        string[] names = [$"CLUSTD__{name}", $"CLUSTD__CLUSTER__{name}", "CLUSTD__CLUSTER__MACHINES", "CLUSTD__CLUSTER__LEASE", $"CLUSTD__SERVICES__{name}__PREFER", "CLUSTD__SERVICES__WEB__PREFER"];
        foreach (var variable in names) Whether(Read(Whole, Machine(environment: (variable, value ?? ""))));
    }

    // What a recursive reader answers with a stack overflow, which no test survives, or a quadratic one with a pause.
    [Theory]
    [InlineData("[", 200_000)]
    [InlineData("{", 200_000)]
    [InlineData("- ", 100_000)]
    [InlineData("? ", 100_000)]
    [InlineData("a: [", 50_000)]
    [InlineData("&a ", 50_000)]
    [InlineData("'", 200_000)]
    [InlineData("\n ", 100_000)]
    [InlineData("a\n", 100_000)]
    [InlineData("a: b\n", 50_000)]
    [InlineData("--- a\n", 20_000)]
    public void A_large_and_mean_file_is_answered_within_seconds(string piece, int count)
    {
        var watch = Stopwatch.StartNew();
        Answered(string.Concat(Enumerable.Repeat(piece, count)));
        watch.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(20));
    }

    [Fact]
    public void Aliases_that_multiply_are_refused()
    {
        var text = "a0: &a0 { x0: 1, y0: 1 }\n" + string.Concat(Enumerable.Range(1, 60).Select(i => $"a{i}: &a{i} {{ <<: [*a{i - 1}, *a{i - 1}, *a{i - 1}], x{i}: 1 }}\n"));
        Answered(text);
        Answered("a: &a [*a]\nb: &b { <<: *b }");
        Read(string.Concat("a: &a { " + string.Join(", ", Enumerable.Range(0, 500).Select(i => $"k{i}: 1")) + " }\n", "b: { <<: [" + string.Join(", ", Enumerable.Repeat("*a", 100)) + "] }"))
            .Errors.ShouldContain(e => e.What == "The file merges too much");
    }

    private static void Answered(string text)
    {
        Whether(Read(text));
        var drivers = ConfigLoader.ParseDriverFile(text, "driver.yml", Machine());
        (drivers.Config is null).ShouldBe(drivers.Errors.Count > 0);
    }

    private static void Whether(ConfigResult result)
    {
        (result.Config is null).ShouldBe(result.Errors.Count > 0);
        foreach (var problem in result.Errors.Concat(result.Warnings))
        {
            problem.ToString().Any(char.IsControl).ShouldBeFalse(problem.ToString());
            problem.Do.ShouldMatch("[.?]$");
            problem.Why.ShouldNotBeEmpty();
        }
        CheckReport.Write(result, TextWriter.Null);
    }
}
