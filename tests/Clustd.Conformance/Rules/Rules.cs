using Clustd.Conformance.Stage;
using Clustd.Conformance.Wrong;

namespace Clustd.Conformance.Rules;

/// <summary>
/// Rules of docs/protocol.md that every SDK must obey; a class per section, a test per rule. Each is run for every SDK (AllSubjects.cs) and, to see that it can
/// fail, for a driver that breaks it (Wrong/).
/// </summary>
public abstract class Rules(string subject)
{
    protected const long Second = ScriptedDaemon.Second;

    /// <summary>How long a test waits for what must happen. Only one that fails waits that long; those that break a rule on purpose do so at once.</summary>
    private protected TimeSpan Patience => IsWrong && subject != WrongDriver.Prefix + Mistake.None ? TimeSpan.FromSeconds(5) : TimeSpan.FromSeconds(40);

    private bool IsWrong => subject.StartsWith(WrongDriver.Prefix, StringComparison.Ordinal);

    /// <summary>Starts a daemon, as the test wants it, and a subject that connects to it.</summary>
    private protected async Task<Scene> StartAsync(Action<ScriptedDaemon>? script = null, string? secret = null, params (string Name, string Value)[] settings)
    {
        var daemon = secret is null ? new ScriptedDaemon() : new ScriptedDaemon { Secret = secret };
        script?.Invoke(daemon);
        Subject driver = IsWrong ? new WrongDriver(subject[WrongDriver.Prefix.Length..]) : new ProcessSubject(subject);
        var scene = new Scene(daemon, driver, Patience);
        try
        {
            driver.Start(daemon, settings.ToDictionary(setting => setting.Name, setting => setting.Value));
            if (driver is ProcessSubject process)
                await process.SkipIfItCannotRunAsync(daemon.Connections.FirstAsync(_ => true, "a connection", Patience));
            return scene;
        }
        catch
        {
            await scene.DisposeAsync();
            throw;
        }
    }
}
