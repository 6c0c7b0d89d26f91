namespace Clustd.Drivers.Processes;

/// <summary>An app or script did not start, failed, or could not be stopped. The message has three parts: what happened; why; what to do.</summary>
public sealed class AppFailedException(string message) : Exception(message);
