namespace Clustd.Client;

/// <summary>How much a message of the SDK, or an event sent to the daemon, matters.</summary>
public enum DriverLogLevel
{
    /// <summary>Detail for whoever looks for a fault.</summary>
    Debug,

    /// <summary>Something expected happened.</summary>
    Info,

    /// <summary>Something went wrong and is being dealt with.</summary>
    Warning,

    /// <summary>Something went wrong and needs a person.</summary>
    Error,
}
