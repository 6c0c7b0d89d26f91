using System.Text;

namespace Clustd.Cli;

/// <summary>
/// Writes to a terminal or pipe that may go away. A driver process outlives the daemon that started it, and the terminal of both: a log line
/// that nobody can read any more must not end what keeps a service running.
/// </summary>
internal sealed class BrokenPipeWriter(TextWriter inner) : TextWriter
{
    public override Encoding Encoding => inner.Encoding;

    public override void Write(char value) => Try(() => inner.Write(value));

    public override void Write(string? value) => Try(() => inner.Write(value));

    public override void Write(char[] buffer, int index, int count) => Try(() => inner.Write(buffer, index, count));

    // In one call, so that two processes that share a terminal do not mix their lines.
    public override void WriteLine(string? value) => Try(() => inner.Write(value + "\n"));

    public override void Flush() => Try(inner.Flush);

    private static void Try(Action write)
    {
        try
        {
            write();
        }
        catch (IOException)
        {
            // Nobody reads; see above.
        }
    }
}
