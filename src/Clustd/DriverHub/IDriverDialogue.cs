using System.Net.WebSockets;
using Clustd.Core;

namespace Clustd.Hub;

/// <summary>What is said on one driver's connection, in whichever of the two protocols: <c>clustd.v1</c>, or that of 2018.</summary>
internal interface IDriverDialogue
{
    /// <summary>Whether it has proven the secret.</summary>
    bool IsAuthenticated { get; }

    /// <summary>For the log.</summary>
    string Name { get; }

    /// <summary>An output for this connection. On the decision loop's thread: queues and returns.</summary>
    void Perform(Output output);

    /// <summary>Closes the connection; see <see cref="DriverLink{TMessage}.End"/>.</summary>
    void End(WebSocketCloseStatus status, string reason, bool dropsQueue = false, TimeSpan? within = null);
}
