using Clustd.Core;

namespace Clustd.Simulation.Scripts;

/// <summary>A script that was read without a mistake.</summary>
internal sealed class Script
{
    private readonly ScriptText _text;
    private readonly List<(int Line, Action<Stage> Do)> _steps = [];
    private readonly ScriptSetup _setup = new();

    private Script(ScriptText text) => _text = text;

    /// <exception cref="ScriptException">A line is wrong.</exception>
    public static Script Read(ScriptText text)
    {
        var script = new Script(text);
        var stage = new Stage(); // The setup's lines are performed while reading: the later ones name its machines.
        var last = 0;
        var hasBegun = false;
        foreach (var (line, command) in text.Commands)
        {
            var verb = Verb.Find(text.File, line, command);
            var arguments = new Arguments(text.File, line, command, verb.Usage, stage.Setup.Machines);
            if (verb.IsSetup && hasBegun)
            {
                throw arguments.Wrong($"'{verb.Name}' comes after something has happened already. Put it before the first other command");
            }

            var step = verb.Read(arguments);
            arguments.End();
            hasBegun |= !verb.IsSetup;
            if (verb.IsSetup)
            {
                step(stage);
            }

            script._steps.Add((line, step));
            last = line;
        }

        return last > 0 ? script : throw new ScriptException(text.File, 1, "there is no command in it. Begin with 'machines 3' and 'form'.");
    }

    /// <summary>Runs it from its beginning, and returns the text as it should be.</summary>
    /// <exception cref="ScriptException">The story did not go as an `expect` says, or an invariant is violated.</exception>
    public string Play(PlantedBug bug = PlantedBug.None, TextWriter? live = null)
    {
        var stage = new Stage { Setup = _setup, Bug = bug, Live = live };
        var outputs = new Dictionary<int, IReadOnlyList<string>>();
        foreach (var (line, step) in _steps)
        {
            try
            {
                step(stage);
            }
            catch (Exception exception) when (exception is ViolationException or UnexpectedException)
            {
                var soFar = outputs.OrderBy(output => output.Key).SelectMany(output => output.Value).Concat(stage.Recorder.TakeLines());
                throw new ScriptException(_text.File, line, $"{exception.Message}\n{string.Join('\n', soFar.TakeLast(30))}");
            }

            outputs[line] = stage.Recorder.TakeLines();
        }

        return _text.With(outputs);
    }
}

/// <summary>Something that the script expects is not so.</summary>
internal sealed class UnexpectedException(string sentence) : Exception(sentence);
