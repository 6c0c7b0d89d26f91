namespace Clustd.Simulation.Scripts;

/// <summary>A script cannot be read, or the story did not go as it says. Says where, what, and what to write or do instead.</summary>
internal sealed class ScriptException(string file, int line, string sentence) : Exception($"{file}, line {line}: {sentence}")
{
    /// <summary>Counted from 1.</summary>
    public int Line { get; } = line;
}
