using System.Diagnostics;
using System.Globalization;
using System.Text;
using FsCheck;
using FsCheck.Xunit;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Decoders;

/// <summary>
/// Whatever comes in: nothing crashes, nothing hangs, nothing is half-accepted. What a decoder takes it can write, and reads again as the same; what it does not
/// take it refuses as it says it does. `./test fuzz --minutes M [DECODER]` runs the last test for so long on each decoder.
/// </summary>
public sealed class DecoderTests(ITestOutputHelper output)
{
    private const int DamagedPerDecoder = 1_000;
    private static readonly TimeSpan Slow = TimeSpan.FromSeconds(2); // of one input of at most some 100 kB, on a machine that is busy

    public static TheoryData<string> Names =>
        new(AllDecoders.List.Select(decoder => decoder.Name).Where(name => name.Contains(Environment.GetEnvironmentVariable("CLUSTD_FUZZ_DECODER") ?? "", StringComparison.OrdinalIgnoreCase)).ToArray());

    [Property(MaxTest = 100)]
    public void Every_value_is_read_as_it_was_written(int seed)
    {
        foreach (var decoder in AllDecoders.List)
        {
            var valid = decoder.Valid(new System.Random(seed));
            var read = decoder.Read(valid).ShouldNotBeNull($"{decoder.Name} refused, seed {seed}: {Encoding.UTF8.GetString(valid)}");
            if (decoder.Name is "peer message" or "snapshot" or "command" or "log entry" or "hard state" or "request" or "guard spec" || decoder.Name.EndsWith("Body", StringComparison.Ordinal))
            {
                read.ShouldBe(valid, $"{decoder.Name}, seed {seed}");
            }
        }
    }

    [Property(MaxTest = 300)]
    public void Any_bytes_are_answered(byte[] bytes)
    {
        foreach (var decoder in AllDecoders.List) Answered(decoder, bytes, "any bytes");
    }

    /// <summary>Inputs that once found something, or that no generator is likely to make again.</summary>
    [Theory]
    [InlineData("command", """{"type":"open-session","machine":"a","store":"s","lease":9223372036854775807}""")]
    [InlineData("command", """{"type":"open-session","machine":"\ud800","store":"s","lease":1}""")]
    [InlineData("command", """{"type":"define-services","services":null}""")]
    [InlineData("command", """{"type":null}""")]
    [InlineData("peer message", """{"cluster":"c","sender":"s","body":{"type":"echo","term":1,"session":1,"incarnation":1,"at":1,"lease":-9223372036854775808,"index":1}}""")]
    [InlineData("peer message", """{"cluster":"c","sender":"s","body":{"type":"append","term":1,"previous":{"index":1,"term":1},"entries":[null],"commit":1,"round":1,"ages":[],"knownReport":0}}""")]
    [InlineData("peer control", """{"type":"\ud800"}""")]
    [InlineData("peer control", """{"\ud800":1,"type":"hello"}""")]
    [InlineData("snapshot", """{"appliedIndex":1,"appliedTerm":1,"lastTokens":{"a":1,"a":2},"sessions":{"99999999999999999999":null}}""")]
    [InlineData("rpc envelope", """{"jsonrpc":"2.0","id":"\ud800","method":"x"}""")]
    [InlineData("RegisterParams", """{"jsonrpc":"2.0","id":1,"method":"register","params":{"name":"\ud800","instance":"a","id":"b"}}""")]
    [InlineData("registration", """{"jsonrpc":"2.0","id":1,"method":"register","params":{"name":"a","instance":"a","id":null}}""")]
    [InlineData("registration", """{"jsonrpc":"2.0","id":1,"method":"register","params":{"name":"a","instance":"a","id":"b","states":[null],"services":[null]}}""")]
    [InlineData("MoveBody", """{"service":"\udc00"}""")]
    [InlineData("MoveBody", """{"service":"a","service":"b"}""")]
    [InlineData("upgrade answer", "HTTP/1.1 101\r\n:\r\n\r\n")]
    [InlineData("guard order", "stop -9223372036854775808 ")]
    public void What_once_was_mean_is_answered(string name, string text) =>
        Answered(AllDecoders.List.Single(decoder => decoder.Name == name), Encoding.UTF8.GetBytes(text), text);

    [Theory]
    [MemberData(nameof(Names))]
    public void A_damaged_encoding_is_read_whole_or_refused(string name)
    {
        var decoder = AllDecoders.List.Single(decoder => decoder.Name == name);
        var minutes = double.Parse(Environment.GetEnvironmentVariable("CLUSTD_FUZZ_MINUTES") ?? "0", CultureInfo.InvariantCulture);
        var seed = System.Random.Shared.Next();
        var watch = Stopwatch.StartNew();
        var (inputs, taken) = (0L, 0L);
        for (; inputs < DamagedPerDecoder || watch.Elapsed.TotalMinutes < minutes; inputs++, seed = unchecked(seed + 1))
        {
            var random = new System.Random(seed);
            var bytes = new Damage(random).Of(decoder.Valid(random));
            if (Answered(decoder, bytes, $"seed {seed}")) taken++;
        }

        var said = $"{decoder.Name}: {inputs} damaged inputs in {watch.Elapsed.TotalSeconds:F0} s, {taken} taken as something whole, the others refused";
        output.WriteLine(said);
        if (minutes > 0) Console.WriteLine(said);
    }

    /// <summary>True if it was taken. Anything but "taken" and "refused as it says" is a finding.</summary>
    private static bool Answered(Decoder decoder, byte[] bytes, string where)
    {
        var watch = Stopwatch.StartNew();
        var once = Should.NotThrow(() => decoder.Read(bytes), $"{decoder.Name}, {where}: {Shown(bytes)}");
        watch.Elapsed.ShouldBeLessThan(Slow, $"{decoder.Name}, {where}: {Shown(bytes)}");
        if (once is null or [0]) return false;
        var twice = Should.NotThrow(() => decoder.Read(once), $"{decoder.Name}, what it made of {where}: {Shown(once)}");
        twice.ShouldNotBeNull($"{decoder.Name} took {Shown(bytes)} ({where}), but not what it wrote of it: {Shown(once)}").ShouldBe(once, $"{decoder.Name}, {where}: {Shown(bytes)}");
        return true;
    }

    private static string Shown(byte[] bytes) => bytes.Length <= 2_000 ? Encoding.UTF8.GetString(bytes) : $"{Encoding.UTF8.GetString(bytes, 0, 2_000)}... ({bytes.Length} bytes)";
}
