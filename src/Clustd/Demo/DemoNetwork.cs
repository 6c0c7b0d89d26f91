using System.Net;
using System.Net.Sockets;

namespace Clustd.Demo;

/// <summary>
/// All traffic between the demo's machines passes through here: a TCP proxy before each. A machine that is cut off keeps its connections, and
/// nothing comes through any more, in either direction, as when a cable is pulled; nobody is told. After the cut what was on the way arrives,
/// as TCP's repetitions would bring it.
/// </summary>
/// <param name="sourceOf">Which machine a connection comes from, by its port here and there; null: unknown.</param>
internal sealed class DemoNetwork(Func<int, int, string?> sourceOf) : IAsyncDisposable
{
    private readonly CancellationTokenSource _ending = new();
    private readonly List<TcpListener> _listeners = [];
    private readonly List<Task> _working = [];
    private readonly Lock _gate = new();
    private string? _cut;
    private TaskCompletionSource _healed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Opens the way to a machine; returns the port that the others know it by.</summary>
    public int Add(string machine, int port)
    {
        var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        _listeners.Add(listener);
        Work(AcceptAsync(listener, machine, port));
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>From now on nothing reaches this machine, and nothing of it reaches others.</summary>
    public void Cut(string machine)
    {
        lock (_gate)
        {
            _healed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _cut = machine;
        }
    }

    public void Heal()
    {
        lock (_gate)
        {
            _cut = null;
            _healed.TrySetResult();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _ending.CancelAsync();
        _listeners.ForEach(listener => listener.Dispose());
        Task[] working;
        lock (_gate) working = [.. _working];
        await Task.WhenAll(working);
        _ending.Dispose();
    }

    private void Work(Task task)
    {
        lock (_gate)
        {
            _working.RemoveAll(each => each.IsCompleted);
            _working.Add(task);
        }
    }

    private async Task AcceptAsync(TcpListener listener, string machine, int port)
    {
        var ourPort = ((IPEndPoint)listener.LocalEndpoint).Port;
        try
        {
            while (true)
            {
                var near = await listener.AcceptSocketAsync(_ending.Token);
                Work(CarryAsync(near, ourPort, machine, port));
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // The demo is over.
        }
    }

    private async Task CarryAsync(Socket near, int ourPort, string machine, int port)
    {
        using var far = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        using (near)
        {
            try
            {
                near.NoDelay = true;
                var source = sourceOf(((IPEndPoint)near.RemoteEndPoint!).Port, ourPort);
                await OpenAsync(source, machine);
                await far.ConnectAsync(IPAddress.Loopback, port, _ending.Token);
                await Task.WhenAll(PumpAsync(near, far, source, machine), PumpAsync(far, near, source, machine));
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
            {
                // The machine is down, or the demo is over: the other end sees its connection close.
            }
        }
    }

    private async Task PumpAsync(Socket from, Socket to, string? source, string machine)
    {
        var buffer = new byte[64 * 1024];
        try
        {
            while (true)
            {
                var count = await from.ReceiveAsync(buffer.AsMemory(), _ending.Token);
                await OpenAsync(source, machine); // What was read when the cut came waits here.
                if (count == 0)
                {
                    to.Shutdown(SocketShutdown.Send);
                    return;
                }

                for (var sent = 0; sent < count;) sent += await to.SendAsync(buffer.AsMemory(sent, count - sent), _ending.Token);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // One end is gone, so the other one goes: but only when a cut lets the news through.
            await OpenAsync(source, machine);
            from.Dispose();
            to.Dispose();
        }
    }

    /// <summary>Returns at once unless one of the two is cut off; then when the cut is healed.</summary>
    private async Task OpenAsync(string? source, string machine)
    {
        while (true)
        {
            Task healed;
            lock (_gate)
            {
                if (_cut is null || (_cut != machine && _cut != source)) return;
                healed = _healed.Task;
            }

            await healed.WaitAsync(_ending.Token);
        }
    }
}
