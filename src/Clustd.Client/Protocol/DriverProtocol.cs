namespace Clustd.Client.Protocol;

/// <summary>Names, limits and error codes of the driver protocol; <c>docs/protocol.md</c> tells it in words.</summary>
public static class DriverProtocol
{
    /// <summary>WebSocket subprotocol that both sides must name.</summary>
    public const string SubProtocol = "clustd.v1";

    /// <summary>Path of the driver endpoint; the daemon serves it at <c>/</c> as well.</summary>
    public const string Path = "/v1/driver";

    /// <summary>Port of a daemon whose address names none.</summary>
    public const int DefaultPort = 3001;

    /// <summary>Largest message, bytes: a registration for a thousand services fits in. A larger one closes the connection with 1009.</summary>
    public const int MessageBytesMax = 256 * 1024;

    /// <summary>Longest text that is put into an error or a reason, characters; the rest is cut, so that a stack trace cannot close the connection.</summary>
    public const int TextCharsMax = 4_000;
}

/// <summary>The methods of the driver protocol.</summary>
public static class DriverMethods
{
    /// <summary>Driver to daemon: a nonce; the daemon proves first that it knows the secret.</summary>
    public const string Hello = "hello";

    /// <summary>Driver to daemon: the driver's proof.</summary>
    public const string Authenticate = "authenticate";

    /// <summary>Driver to daemon: who it is, what it wants to be triggered for, what it still runs.</summary>
    public const string Register = "register";

    /// <summary>Driver to daemon: a stamp; the answer says how much of the lease was left.</summary>
    public const string Renew = "renew";

    /// <summary>Driver or guard to daemon: proof that nothing of a start is running any more.</summary>
    public const string Stopped = "stopped";

    /// <summary>Driver to daemon: what was running failed by itself.</summary>
    public const string Failed = "failed";

    /// <summary>Driver to daemon: how a service is doing.</summary>
    public const string Health = "health";

    /// <summary>Driver to daemon: a line for the event history.</summary>
    public const string Event = "event";

    /// <summary>Daemon to driver: start or stop.</summary>
    public const string Trigger = "trigger";

    /// <summary>Daemon to driver, notification: cancel the start in flight.</summary>
    public const string Cancel = "cancel";
}

/// <summary>Error codes: JSON-RPC's own, then ours.</summary>
public static class DriverErrorCodes
{
    /// <summary>Valid JSON, but not a JSON-RPC 2.0 request (a batch, for example).</summary>
    public const int InvalidRequest = -32600;

    /// <summary>Unknown method, or one that is not allowed before authentication or registration.</summary>
    public const int MethodNotFound = -32601;

    /// <summary>Parameters missing or of the wrong type; unknown service.</summary>
    public const int InvalidParams = -32602;

    /// <summary>The receiver failed on its own account.</summary>
    public const int InternalError = -32603;

    /// <summary>The driver's code failed to start or stop; the message is its own.</summary>
    public const int TriggerFailed = -32001;

    /// <summary>A start was cancelled, by <c>cancel</c>, a stop, or the end of the lease.</summary>
    public const int TriggerCancelled = -32002;

    /// <summary>A trigger was overtaken by a newer one before it began.</summary>
    public const int TriggerSuperseded = -32003;

    /// <summary>A start was not begun because the driver holds no lease.</summary>
    public const int NoLease = -32004;

    /// <summary>The driver is shutting down and starts nothing any more.</summary>
    public const int ShuttingDown = -32005;

    /// <summary>A register is refused for good: needs more time than the service allows, unknown service, bad name.</summary>
    public const int RegisterRefused = -32010;

    /// <summary>A register has to wait: another instance of this name is not yet known to be stopped. Try again.</summary>
    public const int InstanceBusy = -32011;

    /// <summary>The proof is wrong: the secrets differ.</summary>
    public const int AuthenticationFailed = -32012;
}
