using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;

namespace Clustd.Conformance.Stage;

/// <summary>
/// The daemon's side of docs/protocol.md, over real WebSockets, for one driver. It does what a well-behaved daemon does, and whatever the test sets otherwise.
/// Times are real: leases here are long, and answers that end them are the test's.
/// </summary>
internal sealed class ScriptedDaemon : IAsyncDisposable
{
    public const long Second = 1_000_000; // microseconds

    private readonly TcpListener listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource ended = new();
    private int taken;

    public ScriptedDaemon()
    {
        listener.Start();
        _ = AcceptAsync();
    }

    public string Url => $"ws://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}";

    /// <summary>What the driver is given, and must prove.</summary>
    public string Secret { get; init; } = "the secret of the conformance suite";

    /// <summary>What the daemon proves, if not <see cref="Secret"/>: that of an impostor, or the new one of a cluster whose driver knows the old one.</summary>
    public string? OwnSecret { get; set; }

    /// <summary>Whether the daemon proves <see cref="Secret"/> as the old one, beside <see cref="OwnSecret"/>.</summary>
    public bool ProvesOldSecret { get; set; }

    public long LeaseUs { get; set; } = 20 * Second;

    public long RenewEveryUs { get; set; } = Second / 5;

    public long KillTimeoutUs { get; set; } = 5 * Second;

    public string[] Services { get; set; } = ["default"];

    /// <summary>What a renewal is granted; null: the answer says so.</summary>
    public long? LeftUs { get; set; } = 20 * Second;

    /// <summary>What a renewal is answered, instead of a grant of <see cref="LeftUs"/>; null: nothing, the test may do it later.</summary>
    public Func<Message, JsonObject?>? OnRenew { get; set; }

    /// <summary>Why a registration is refused; null: it is not.</summary>
    public Func<Message, (int Code, string Text)?> OnRegister { get; set; } = _ => null;

    /// <summary>The result of a request that only asks for an acknowledgement; null: no answer.</summary>
    public Func<Message, JsonObject?> OnAuthenticate { get; set; } = _ => [];

    /// <summary>Whether `stopped`, `failed`, `health` and `event` are answered.</summary>
    public bool AnswersReports { get; set; } = true;

    /// <summary>Whether whoever connects is sent away before a word is said.</summary>
    public bool TurnsAway { get; set; }

    /// <summary>Whether all that the daemon says has fields in it that nobody knows.</summary>
    public bool SaysMore { get; set; }

    /// <summary>Every connection, also one that never registered.</summary>
    public Journal<DriverSide> Connections { get; } = new("Connections");

    /// <summary>Connections that registered.</summary>
    public Journal<DriverSide> Registered { get; } = new("Registrations");

    /// <summary>The next driver that registers.</summary>
    public Task<DriverSide> NextDriverAsync(TimeSpan patience) => Registered.FirstAsync(_ => true, "a driver to register", patience, taken++);

    public async ValueTask DisposeAsync()
    {
        await ended.CancelAsync();
        listener.Dispose();
        foreach (var connection in Connections.All)
            connection.Cut();
        ended.Dispose();
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var client = await listener.AcceptTcpClientAsync(ended.Token);
                client.NoDelay = true;
                var side = new DriverSide(this, client);
                Connections.Add(side);
                if (TurnsAway)
                    side.Cut();
                else
                    _ = side.ServeAsync();
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // The test is over.
        }
    }
}
