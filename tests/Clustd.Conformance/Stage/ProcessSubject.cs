using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using Xunit;

namespace Clustd.Conformance.Stage;

/// <summary>The subject of an SDK: a process.</summary>
internal sealed class ProcessSubject(string language) : Subject
{
    private const int CannotRunHere = 77; // As automake has it.

    private readonly TaskCompletionSource<int> ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<string> errors = [];
    private Process? process;

    public override Task<int> Ended => ended.Task;

    /// <summary>The repository: tests/Clustd.Conformance/bin/CONFIGURATION/FRAMEWORK is where we are.</summary>
    public static string Root { get; } = new DirectoryInfo(AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar)).Parent!.Parent!.Parent!.Parent!.Parent!.FullName;

    public override void Start(ScriptedDaemon daemon, IReadOnlyDictionary<string, string> settings)
    {
        var start = Command();
        start.RedirectStandardInput = start.RedirectStandardOutput = start.RedirectStandardError = true;
        start.Environment["CLUSTD_URL"] = daemon.Url;
        start.Environment["CLUSTD_SECRET"] = daemon.Secret;
        start.Environment["CLUSTD_NAME"] = "subject";
        start.Environment["CLUSTD_ID"] = $"subject-{language}";
        foreach (var (name, value) in settings)
            start.Environment[name] = value;
        process = new Process { StartInfo = start, EnableRaisingEvents = true };
        process.OutputDataReceived += (_, line) =>
        {
            if (line.Data is { Length: > 0 } text)
                Said.Add(new Message(Parse(text)));
        };
        process.ErrorDataReceived += (_, line) =>
        {
            lock (errors)
                errors.Add(line.Data ?? "");
        };
        process.Exited += (_, _) => ended.TrySetResult(process.ExitCode);
        process.Start();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    /// <summary>Skips the test if the subject cannot run here. It says so at once, or it never will.</summary>
    public async Task SkipIfItCannotRunAsync(Task runs)
    {
        await Task.WhenAny(runs, ended.Task);
        if (!ended.Task.IsCompleted || await ended.Task != CannotRunHere)
            return;
        await process!.WaitForExitAsync(); // Its last line has been read then.
        lock (errors)
            Assert.Skip($"The {language} subject cannot run here: {string.Join(" ", errors).Trim()}");
    }

    public override async ValueTask DisposeAsync()
    {
        if (process is null)
            return;
        if (!process.HasExited)
            process.Kill();
        await process.WaitForExitAsync();
        process.Dispose();
    }

    protected override async Task WriteAsync(JsonObject command)
    {
        await process!.StandardInput.WriteLineAsync(command.ToJsonString());
        await process.StandardInput.FlushAsync();
    }

    private ProcessStartInfo Command()
    {
        var folder = Path.Combine(Root, "clients", language, "conformance");
        if (language == "csharp")
        {
            var output = new DirectoryInfo(AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar));
            return new ProcessStartInfo(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet", [Path.Combine(folder, "bin", output.Parent!.Name, output.Name, "ConformanceSubject.dll")]);
        }
        var program = Path.Combine(folder, "subject");
        if (!File.Exists(program))
            Assert.Skip($"There is no {language} subject: {program} does not exist.");
        return new ProcessStartInfo(program);
    }

    // What is not a line of JSON is kept as it is: whoever waits in vain sees it.
    private static JsonObject Parse(string line)
    {
        try
        {
            return JsonNode.Parse(line) as JsonObject ?? new JsonObject { ["event"] = "not an object", ["text"] = line };
        }
        catch (JsonException)
        {
            return new JsonObject { ["event"] = "not JSON", ["text"] = line };
        }
    }
}
