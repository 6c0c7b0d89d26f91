namespace Clustd.Client;

/// <summary>The daemon refused this driver, or failed to prove that it knows the secret. Trying again without a change would not help.</summary>
public sealed class DriverRefusedException : Exception
{
    /// <summary>A refusal with its three-part message: what happened; why; what to do.</summary>
    public DriverRefusedException(string message) : base(message)
    {
    }

    /// <summary>A refusal with its cause.</summary>
    public DriverRefusedException(string message, Exception innerException) : base(message, innerException)
    {
    }
}
