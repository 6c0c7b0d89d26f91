using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Clustd.Demo;

/// <summary>What one machine did under one token: its first and its last act, in µs of the clock that all processes of a host share.</summary>
internal sealed record Reign(string Machine, long Token, long FirstUs, long LastUs, int Acts);

/// <summary>
/// Sees what the copies of the service do, and nothing of clustd: an independent witness. It writes down who acted when, under which token.
/// </summary>
internal sealed class DemoObserver : IDisposable
{
    /// <summary>A tenth of a second: some twenty acts.</summary>
    public const long SliceUs = 100_000;

    private const int SlicesKept = 400;

    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
    private readonly Lock _gate = new();
    private readonly SortedDictionary<(long Token, string Machine), Reign> _reigns = [];
    private readonly SortedDictionary<string, SortedSet<long>> _slices = new(StringComparer.Ordinal);

    public DemoObserver()
    {
        _socket.ReceiveBufferSize = 4 << 20; // a pause of ours must not lose acts
        _socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        Port = ((IPEndPoint)_socket.LocalEndPoint!).Port;
        new Thread(Receive) { IsBackground = true, Name = "demo observer" }.Start();
    }

    public int Port { get; }

    /// <summary>All reigns, by token.</summary>
    public IReadOnlyList<Reign> Reigns
    {
        get
        {
            lock (_gate) return [.. _reigns.Values];
        }
    }

    /// <summary>The reign with the highest token; null: nobody has acted yet.</summary>
    public Reign? Newest => Reigns.LastOrDefault();

    /// <summary>The slices of time, <see cref="SliceUs"/> each and numbered from the clock's zero, in which a machine has acted of late.</summary>
    public IReadOnlySet<long> SlicesOf(string machine)
    {
        lock (_gate) return _slices.TryGetValue(machine, out var slices) ? new SortedSet<long>(slices) : [];
    }

    public void Dispose() => _socket.Dispose();

    /// <summary>Notes one act; acts may come in any order.</summary>
    internal void Note(string machine, long token, long us)
    {
        lock (_gate)
        {
            _reigns[(token, machine)] = _reigns.TryGetValue((token, machine), out var known)
                ? known with { FirstUs = Math.Min(known.FirstUs, us), LastUs = Math.Max(known.LastUs, us), Acts = known.Acts + 1 }
                : new Reign(machine, token, us, us, 1);
            if (!_slices.TryGetValue(machine, out var slices)) _slices[machine] = slices = [];
            slices.Add(us / SliceUs);
            while (slices.Count > SlicesKept) slices.Remove(slices.Min);
        }
    }

    /// <summary>
    /// The longest time for which two acted at once, ms: 0 or less is good, it is how far apart they were. Any two reigns count, also two
    /// machines under one token. Null: there was only one.
    /// </summary>
    public static double? WorstOverlapMs(IReadOnlyList<Reign> reigns)
    {
        double? worst = null;
        for (var i = 0; i < reigns.Count; i++)
        {
            for (var j = i + 1; j < reigns.Count; j++)
            {
                // Under one token there is one master (P1): two are wrong even if they never acted at the same time.
                var overlap = reigns[i].Token == reigns[j].Token ? Math.Max(SharedMs(reigns[i], reigns[j]), OneTokenTwice) : OverlapMs(reigns[i], reigns[j]);
                worst = worst is { } known ? Math.Max(known, overlap) : overlap;
            }
        }

        return worst;
    }

    /// <summary>How long the older reign still acted after the newer one had begun, ms; negative: the pause between them.</summary>
    public static double OverlapMs(Reign older, Reign newer) => (older.LastUs - newer.FirstUs) / 1000.0;

    private const double OneTokenTwice = 0.001;

    private static double SharedMs(Reign one, Reign other) => (Math.Min(one.LastUs, other.LastUs) - Math.Max(one.FirstUs, other.FirstUs)) / 1000.0;

    private void Receive()
    {
        var buffer = new byte[512];
        while (true)
        {
            int count;
            try
            {
                count = _socket.Receive(buffer);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                return; // the demo is over
            }

            if (Encoding.ASCII.GetString(buffer, 0, count).Split(' ') is [var machine, var token, var us]
                && long.TryParse(token, CultureInfo.InvariantCulture, out var number) && long.TryParse(us, CultureInfo.InvariantCulture, out var at))
            {
                Note(machine, number, at);
            }
        }
    }
}
