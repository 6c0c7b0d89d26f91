using System.Text.Json;

namespace Clustd.Client.Testing;

/// <summary>What a driver asked or told the daemon.</summary>
/// <param name="Method">One of <see cref="Protocol.DriverMethods"/>, or whatever the driver sent.</param>
/// <param name="Parameters">As sent; null if there were none.</param>
public sealed record HeardCall(string Method, JsonElement? Parameters);

/// <summary>What the daemon told a driver, and how that ended.</summary>
/// <param name="Service">The service.</param>
/// <param name="IsMaster">Start or stop.</param>
/// <param name="Token">Fencing token.</param>
/// <param name="Kill">A stop that cannot wait.</param>
public sealed record ToldTrigger(string Service, bool IsMaster, long Token, bool Kill)
{
    /// <summary>Whether the driver has answered that it is done. False while it has not answered, and when it answered with an error.</summary>
    public bool Acknowledged { get; init; }

    /// <summary>The driver's error; null while it has not answered, and when it has acknowledged.</summary>
    public string? Error { get; init; }
}
