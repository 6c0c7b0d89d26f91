using Clustd.Client.Protocol;
using Clustd.Core;

namespace Clustd.Hub;

/// <summary>What one driver says for people to read: bounded in length, in number and in what is remembered of it.</summary>
internal sealed class DriverReports(DriverHub hub, DriverHubOptions options)
{
    private const int ServicesRemembered = 64;

    private readonly TokenBucket _allowance = new(options.Time, options.NotesPerSecond, options.NotesPerSecond * 5);
    private readonly Dictionary<string, bool> _health = new(StringComparer.Ordinal);
    private long _dropped;

    /// <summary>Noted when it changes; false if the message is malformed.</summary>
    public bool Health(string driver, RpcMessage message)
    {
        if (message.ReadParams(ProtocolJson.Default.HealthParams) is not { } health || !RegistrationReader.IsService(health.Service))
        {
            return false;
        }

        // Unheard of is well: only a change is news.
        var wasOk = !_health.TryGetValue(health.Service, out var before) || before;
        if (wasOk == health.Ok || (_health.Count >= ServicesRemembered && !_health.ContainsKey(health.Service)))
        {
            return true;
        }

        _health[health.Service] = health.Ok;
        var detail = BoundedText.OneLine(health.Detail, "it gave no detail");
        Note(
            health.Ok ? Severity.Information : Severity.Warning,
            "driver-health",
            $"Driver {driver} says that '{health.Service}' is {(health.Ok ? "well again" : "not well")}: {detail}",
            new ServiceName(health.Service));
        return true;
    }

    /// <summary>False if the message is malformed.</summary>
    public bool Event(string driver, RpcMessage message)
    {
        if (message.ReadParams(ProtocolJson.Default.EventParams) is not { Level: not null, Text: not null } said)
        {
            return false;
        }

        var severity = said.Level switch
        {
            "debug" => Severity.Debug,
            "warning" => Severity.Warning,
            "error" => Severity.Error,
            _ => Severity.Information, // Of a newer driver: shown rather than lost.
        };
        Note(severity, "driver-event", $"Driver {driver}: {BoundedText.OneLine(said.Text, "(nothing)")}", null);
        return true;
    }

    private void Note(Severity severity, string kind, string sentence, ServiceName? service)
    {
        if (!_allowance.TryTake())
        {
            _dropped++;
            return;
        }

        var more = _dropped > 0 ? $" ({_dropped} lines before this one were left out: the driver said too much at once.)" : "";
        _dropped = 0;
        hub.Note(new Output.Noted(severity, kind, sentence + more, service));
    }
}
