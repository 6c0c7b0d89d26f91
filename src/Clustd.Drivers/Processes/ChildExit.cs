namespace Clustd.Drivers.Processes;

/// <summary>How a process ended: by itself with a code, or by a signal (then <see cref="Signal"/> is not 0).</summary>
public readonly record struct ChildExit(int Code, int Signal)
{
    public bool Succeeded => Code == 0 && Signal == 0;

    internal static ChildExit FromWaitStatus(int status) =>
        (status & 0x7f) == 0 ? new((status >> 8) & 0xff, 0) : new(0, status & 0x7f);

    /// <summary>The form in which the guard tells the driver: <c>3</c> or <c>signal 9</c>.</summary>
    public override string ToString() => Signal == 0 ? Code.ToString() : $"signal {Signal}";

    public static ChildExit Parse(ReadOnlySpan<char> text) =>
        text.StartsWith("signal ") ? new(0, int.Parse(text["signal ".Length..])) : new(int.Parse(text), 0);

    /// <summary>For people: <c>exit code 3</c>, <c>killed by signal 9</c>.</summary>
    public string Sentence => Signal == 0 ? $"exit code {Code}" : $"killed by signal {Signal}";
}
