using System.Net.WebSockets;
using Clustd.Client.Protocol;

namespace Clustd.Hub;

/// <summary>Messages of one protocol over one WebSocket. One caller may receive at a time; any number may send.</summary>
internal interface IDriverSocket<TMessage> : IDisposable
    where TMessage : class
{
    /// <summary>The next message, or null when the driver closed the connection. An <see cref="InvalidDataException"/> if it breaks the protocol: it has been told so then.</summary>
    ValueTask<TMessage?> ReceiveAsync(CancellationToken cancellationToken);

    ValueTask SendAsync(TMessage message, CancellationToken cancellationToken);

    ValueTask CloseOutputAsync(WebSocketCloseStatus status, string reason, CancellationToken cancellationToken);
}

/// <summary><c>clustd.v1</c>: JSON-RPC as text, the same code as the SDK's.</summary>
internal sealed class JsonRpcDriverSocket(WebSocket socket) : IDriverSocket<RpcMessage>
{
    private readonly RpcSocket _rpc = new(socket);

    public ValueTask<RpcMessage?> ReceiveAsync(CancellationToken cancellationToken) => _rpc.ReceiveAsync(cancellationToken);

    public ValueTask SendAsync(RpcMessage message, CancellationToken cancellationToken) => _rpc.SendAsync(message, cancellationToken);

    public ValueTask CloseOutputAsync(WebSocketCloseStatus status, string reason, CancellationToken cancellationToken) => _rpc.CloseOutputAsync(status, reason, cancellationToken);

    public void Dispose() => _rpc.Dispose();
}
