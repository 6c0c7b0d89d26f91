using Clustd.Cli;

namespace Clustd.Tests.Cli;

/// <summary>Runs command lines in this process and keeps what they said.</summary>
internal sealed class CommandBench(int width = 100)
{
    private readonly StringWriter _out = new() { NewLine = "\n" };
    private readonly StringWriter _error = new() { NewLine = "\n" };

    public Terminal Terminal => new(_out, _error) { Width = width };

    /// <summary>Lines without what Spectre pads them with on the right.</summary>
    public string Out => string.Join('\n', _out.ToString().Split('\n').Select(line => line.TrimEnd()));

    public string Error => _error.ToString();

    public Task<int> RunAsync(params string[] args) => CommandLine.RunAsync(args, Terminal);
}
