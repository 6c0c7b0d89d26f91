using System.Diagnostics;
using Clustd.Cli;
using Clustd.Tests.Drivers;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Cli;

public sealed class CompletionTests
{
    [Theory]
    [InlineData("clustd d", "demo driver drivers drain")]
    [InlineData("./clustd mac", "machine")]
    [InlineData("clustd machine ", "add confirm-off list remove")]
    [InlineData("clustd completion ", "bash fish zsh")]
    [InlineData("clustd status --w", "--watch --wide")]
    [InlineData("clustd status -o ", "json")]
    [InlineData("clustd nonsense ", "")]
    [InlineData("clustd exec --service web -- d", "")]
    public void What_may_come_next_is_offered_and_nothing_else(string line, string words) =>
        string.Join(' ', Words(line).Order(StringComparer.Ordinal)).ShouldBe(string.Join(' ', words.Split(' ', StringSplitOptions.RemoveEmptyEntries).Order(StringComparer.Ordinal)));

    [Fact]
    public void Hidden_commands_and_short_forms_are_not_offered()
    {
        Words("clustd ").ShouldNotContain("complete");
        Words("clustd ").ShouldContain("exec");
        Words("clustd status ").ShouldAllBe(word => word.StartsWith("--", StringComparison.Ordinal));
    }

    // Catches: a script that a shell cannot read, or that asks us in a way we do not answer. Without a daemon names are silently nothing.
    [Theory]
    [InlineData("clustd mo", "move")]
    [InlineData("clustd machine re", "remove")]
    [InlineData("clustd move we", "")]
    public void Bash_completes(string line, string word)
    {
        var (code, output) = Run("bash", "--norc", "-c", """
            source <(clustd completion bash)
            COMP_LINE=$1; COMP_POINT=${#1}; read -ra COMP_WORDS <<< "$1"; COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
            _clustd 2>&1
            echo "${COMPREPLY[*]}"
            """, "bash", line);
        code.ShouldBe(0, output);
        output.ShouldBe(word + "\n");
    }

    [Theory]
    [InlineData("zsh", "autoload -Uz compinit; compinit -u -D; source <(clustd completion zsh); [[ ${_comps[clustd]} == _clustd ]] && echo ready")]
    [InlineData("fish", "clustd completion fish | source; complete -C 'clustd mo' | cut -f 1")]
    public void Other_shells_read_their_script(string shell, string script)
    {
        Assert.SkipUnless(IsThere(shell), $"{shell} is not installed");
        string[] quiet = shell == "zsh" ? ["-f"] : ["--no-config"];
        var (code, output) = Run(shell, [.. quiet, "-c", script]);
        code.ShouldBe(0, output);
        output.Trim().ShouldBe(shell == "zsh" ? "ready" : "move");
    }

    private static List<string> Words(string line) => [.. CompletionCommand.Candidates(CommandLine.Root(new Terminal(TextWriter.Null, TextWriter.Null)), line).Select(each => each.Word)];

    private static bool IsThere(string program) => Environment.GetEnvironmentVariable("PATH")!.Split(':').Any(folder => File.Exists(Path.Combine(folder, program)));

    private static (int Code, string Output) Run(string file, params string[] arguments)
    {
        var start = new ProcessStartInfo(file, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["PATH"] = $"{Path.GetDirectoryName(Scratch.GuardProgram.File)}:{start.Environment["PATH"]}";
        start.Environment["CLUSTD_CONFIG"] = "/nonexistent/config.yml";
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + (process.ExitCode == 0 ? "" : error.Result));
    }
}
