using System.CommandLine;
using System.CommandLine.Completions;

namespace Clustd.Cli;

/// <summary>
/// `clustd completion bash`: prints the script that teaches a shell our commands, options and names. The script asks `clustd complete LINE`, which is
/// hidden, at every Tab, so it never grows old. The library's own [suggest] directive says names only, and matches anywhere in a word.
/// </summary>
internal static class CompletionCommand
{
    private const string Hidden = "complete";

    public static Command Make(Terminal terminal)
    {
        var shell = new Argument<string>("SHELL") { Description = "bash, zsh or fish" };
        shell.AcceptOnlyFromAmong("bash", "zsh", "fish");
        var command = new Command("completion", "Print a script for completion in your shell: source <(clustd completion bash)") { shell };
        command.SetAction(parsed =>
        {
            terminal.Out.Write(ScriptOf(parsed.GetValue(shell)!));
            return ExitCodes.Done;
        });
        return command;
    }

    public static Command Complete(Terminal terminal)
    {
        var line = new Argument<string>("LINE") { Description = "The command line up to the cursor" };
        var command = new Command(Hidden, "Say what may come next on a command line") { line };
        command.Hidden = true;
        command.SetAction(parsed =>
        {
            foreach (var (word, description) in Candidates(CommandLine.Root(terminal), parsed.GetValue(line)!))
            {
                terminal.Out.WriteLine(description.Length > 0 ? $"{word}\t{description}" : word);
            }

            return ExitCodes.Done;
        });
        return command;
    }

    /// <summary>What may stand where the line ends, each with what it does.</summary>
    internal static List<(string Word, string Description)> Candidates(RootCommand root, string line)
    {
        // However the program was called: the parser wants the root's own name.
        var space = line.IndexOf(' ');
        var rest = space < 0 ? "" : line[(space + 1)..];
        // Behind `--` the words are another program's.
        if ($" {rest}".Contains(" -- ", StringComparison.Ordinal)) return [];
        var word = rest[(rest.LastIndexOf(' ') + 1)..];
        var whole = $"{root.Name} {rest}";
        var parsed = root.Parse(whole);
        if (parsed.CommandResult.Command is RootCommand && parsed.UnmatchedTokens.Any(token => token != word)) return []; // no such command
        var found = parsed.GetCompletions(whole.Length)
            .Where(item => item.Label.StartsWith(word, StringComparison.Ordinal) && !item.Label.StartsWith('/') && item.Label is not ("-?" or "-h"))
            .Select(item => (item.Label, Description: (item.Detail ?? item.Documentation ?? "").ReplaceLineEndings(" ")))
            .DistinctBy(item => item.Label).ToList();
        // Options only where there is nothing else, or where they are asked for.
        var names = found.Where(item => !item.Label.StartsWith('-')).ToList();
        return word.Length == 0 && names.Count > 0 ? names : word.Length == 0 ? [.. found.Where(item => item.Label.StartsWith("--", StringComparison.Ordinal))] : found;
    }

    internal static string ScriptOf(string shell) => shell switch
    {
        "bash" => $$"""
            # bash completion for clustd. Now: source <(clustd completion bash). For good: clustd completion bash > /etc/bash_completion.d/clustd
            _clustd() {
                local word=${COMP_WORDS[COMP_CWORD]} line
                COMPREPLY=()
                while IFS=$'\t' read -r line _; do
                    [[ $line == "$word"* ]] && COMPREPLY+=("$line")
                done < <("${COMP_WORDS[0]}" {{Hidden}} "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
            }
            complete -o default -F _clustd clustd

            """,
        "zsh" => $$"""
            #compdef clustd
            # zsh completion for clustd. Now: source <(clustd completion zsh). For good: clustd completion zsh > a file _clustd in a folder of $fpath
            _clustd() {
                local line
                local -a found
                while IFS=$'\t' read -r line what; do
                    found+=("${line//:/\\:}${what:+:$what}")
                done < <("${words[1]}" {{Hidden}} "${(j: :)words[1,CURRENT]}" 2>/dev/null)
                if (( $#found )); then _describe -t clustd clustd found; else _files; fi
            }
            compdef _clustd clustd

            """,
        _ => $$"""
            # fish completion for clustd. Now: clustd completion fish | source. For good: clustd completion fish > ~/.config/fish/completions/clustd.fish
            complete -c clustd -f -a '(clustd {{Hidden}} (commandline -cp) 2>/dev/null)'
            complete -c clustd -l config -r -F -d 'The configuration'

            """,
    };
}
