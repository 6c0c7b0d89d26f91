namespace Clustd.Client.Testing;

/// <summary>The driver answered a trigger with an error. The message is the driver's.</summary>
/// <param name="code">One of <see cref="Protocol.DriverErrorCodes"/>.</param>
/// <param name="message">What the driver said.</param>
public sealed class TriggerFailedException(int code, string message) : Exception(message)
{
    /// <summary>One of <see cref="Protocol.DriverErrorCodes"/>.</summary>
    public int Code => code;
}
