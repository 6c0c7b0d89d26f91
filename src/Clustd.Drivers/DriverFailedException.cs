namespace Clustd.Drivers;

/// <summary>A start, stop or look of a built-in driver has failed; the message has three parts and is shown to people.</summary>
public sealed class DriverFailedException(string message, Exception? inner = null) : Exception(message, inner);
