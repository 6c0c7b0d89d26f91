using System.Text.Json;
using Clustd.Core;
using Clustd.Core.Raft;
using Clustd.Core.Wire;

namespace Clustd.Simulation;

/// <summary>
/// Connections between machines, as TCP makes them: in order, or broken with all that was in flight. A cut is silent (nothing is told to
/// anybody until a delay later, messages vanish or wait) or closes the sockets at once; it may concern one direction only.
/// </summary>
internal sealed class Network
{
    private readonly World _world;
    private readonly Chance _chance;
    private readonly Connection[,] _connections;
    private readonly int[,] _cuts;
    private readonly StreamLoss?[,] _streams;
    private readonly List<(int From, int To, PeerMessage Message)> _held = [];

    public Network(World world, Chance chance)
    {
        _world = world;
        _chance = chance;
        var count = world.Scenario.Machines;
        _connections = new Connection[count, count];
        _cuts = new int[count, count];
        _streams = new StreamLoss?[count, count];
        for (var a = 0; a < count; a++)
        {
            for (var b = a + 1; b < count; b++)
            {
                var connection = new Connection(a, b);
                _connections[a, b] = _connections[b, a] = connection;
                DialLater(connection);
            }
        }

        if (world.Scenario.Soak is { } plan)
        {
            foreach (var (from, to) in Enumerable.Range(0, count * count).Select(pair => (pair / count, pair % count)))
            {
                _streams[from, to] = new StreamLoss(world.Events, chance.Split(), plan, message => Arrived(from, to, message), held => world.Note("tcp", $"what m{from + 1} sent to m{to + 1} was held up for {held} µs"));
            }
        }
    }

    /// <summary>A network fault: every message takes this much longer, µs.</summary>
    public long Slowness { get; set; }

    /// <summary>A network fault: every message comes twice, each time up to so many µs late, and overtakes others.</summary>
    public long Disorder { get; set; }

    /// <summary>What this is true of, by sender, receiver and message, is kept until <see cref="DeliverHeld"/>.</summary>
    public Func<int, int, PeerMessage, bool>? Holds { get; set; }

    /// <summary>A network fault: this share of messages is lost by the line and sent again by TCP, and all that follows on the connection waits for it.</summary>
    public double PacketLoss { get; set; }

    /// <summary>Until when some stream waits behind a lost packet, µs.</summary>
    public long StalledUntil { get; private set; }

    public bool IsCut(int from, int to) => _cuts[from, to] > 0;

    public bool IsOpen(int a, int b) => _connections[a, b].Up(a) && _connections[a, b].Up(b);

    public void Send(int from, int to, PeerMessage message)
    {
        var connection = _connections[from, to];
        if (!connection.Up(from) || _chance.Happens(_world.Scenario.LossShare))
        {
            return;
        }

        if (_streams[from, to] is { } stream)
        {
            stream.Send(message);
            return;
        }

        if (_chance.Happens(_world.Scenario.JsonShare))
        {
            message = JsonSerializer.Deserialize(JsonSerializer.SerializeToUtf8Bytes(message, CoreJson.Default.PeerMessage), CoreJson.Default.PeerMessage)!;
        }

        if (IsCut(from, to))
        {
            if (connection.WaitsDuringCut)
            {
                connection.Waiting.Add((from, message));
            }

            return;
        }

        if (Holds?.Invoke(from, to, message) == true)
        {
            _held.Add((from, to, message));
            return;
        }

        Deliver(connection, from, message);
    }

    /// <summary>What was held arrives now, whatever has become of the connections meanwhile. Returns how much it is.</summary>
    public int DeliverHeld()
    {
        Holds = null;
        var count = _held.Count;
        foreach (var (from, to, message) in _held)
        {
            _world.Machines[to].Post(new Input.PeerSpoke(_world.Machines[from].Id, message));
        }

        _held.Clear();
        return count;
    }

    /// <summary>From now on nothing gets from one to the other. Each cut is healed on its own.</summary>
    public void Cut(int from, int to, bool closesSockets)
    {
        _cuts[from, to]++;
        var connection = _connections[from, to];
        if (closesSockets)
        {
            Break(connection, _world.Scenario.LeaseMicroseconds / 100);
            return;
        }

        connection.WaitsDuringCut = _chance.Happens(0.5);
        NoticeSilence(connection);
    }

    /// <summary>What one sends to the other from now on arrives so much later, in order.</summary>
    public void Stall(int from, int to, long length)
    {
        var connection = _connections[from, to];
        var side = from == connection.A ? 0 : 1;
        connection.LastDelivery[side] = Math.Max(connection.LastDelivery[side], _world.Events.Now + length);
        StalledUntil = Math.Max(StalledUntil, connection.LastDelivery[side]);
    }

    /// <summary>A second connection takes the place of the one that there is; what was in flight on that one is lost. False: there is none.</summary>
    public bool Replace(int a, int b)
    {
        var connection = _connections[a, b];
        if (!IsOpen(a, b) || IsCut(a, b) || IsCut(b, a) || !_world.Machines[a].Answers || !_world.Machines[b].Answers)
        {
            return false;
        }

        foreach (var machine in (int[])[a, b])
        {
            connection.Lose(machine);
            _world.Machines[machine].Post(new Input.PeerLost(_world.Machines[connection.Other(machine)].Id));
        }

        Connect(connection);
        return true;
    }

    public void Heal(int from, int to)
    {
        _cuts[from, to]--;
        var connection = _connections[from, to];
        if (!IsCut(from, to) && !IsCut(to, from))
        {
            // What TCP sent again and again arrives at last, late and in order.
            foreach (var (sender, message) in connection.Waiting)
            {
                Deliver(connection, sender, message);
            }

            connection.Waiting.Clear();
        }
    }

    /// <summary>The process is gone and its kernel closes its sockets.</summary>
    public void ProcessDied(int machine)
    {
        foreach (var connection in Of(machine))
        {
            connection.Lose(machine);
            Break(connection, _world.Scenario.LeaseMicroseconds / 50);
        }
    }

    /// <summary>The machine is gone without a word: the others notice after a while, or when it is back.</summary>
    public void HostDied(int machine)
    {
        foreach (var connection in Of(machine))
        {
            connection.Lose(machine);
            connection.TornGeneration = connection.Generation;
            NoticeSilence(connection);
        }
    }

    public void HostIsBack(int machine)
    {
        foreach (var connection in Of(machine))
        {
            if (connection.Up(connection.Other(machine)))
            {
                Break(connection, _world.Scenario.NetworkDelayMax);
            }
        }
    }

    public void Break(int a, int b) => Break(_connections[a, b], _world.Scenario.NetworkDelayMax);

    private IEnumerable<Connection> Of(int machine)
    {
        for (var other = 0; other < _world.Scenario.Machines; other++)
        {
            if (other != machine)
            {
                yield return _connections[machine, other];
            }
        }
    }

    private void Deliver(Connection connection, int from, PeerMessage message)
    {
        var to = connection.Other(from);
        var scenario = _world.Scenario;
        var delay = _chance.Between(scenario.NetworkDelayMin, scenario.NetworkDelayMax) + Slowness;
        if (_world.IsChaos && _chance.Happens(scenario.NetworkSpikeShare))
        {
            delay += _chance.Between(0, scenario.LeaseMicroseconds / 4);
        }

        var side = from == connection.A ? 0 : 1;
        if (PacketLoss > 0 && _chance.Happens(PacketLoss))
        {
            // Found out after a round trip, or, if the retransmission gets lost too, by a timeout that doubles.
            var again = scenario.NetworkDelayMax * 2;
            while (_chance.Happens(PacketLoss))
            {
                again = Math.Min(again * 2, scenario.LeaseMicroseconds * 2);
            }

            delay += Math.Max(again, 1_000);
        }

        var due = connection.LastDelivery[side] = Math.Max(connection.LastDelivery[side] + 1, _world.Events.Now + delay);
        var stream = connection.Stream;
        void Arrive()
        {
            if (stream == connection.Stream && connection.Up(to) && !(IsCut(from, to) && !connection.WaitsDuringCut))
            {
                _world.Machines[to].Post(new Input.PeerSpoke(_world.Machines[from].Id, message));
            }
        }

        if (Disorder == 0)
        {
            _world.Events.At(due, Arrive);
            return;
        }

        _world.Events.After(_chance.Between(0, Disorder), Arrive);
        _world.Events.After(_chance.Between(0, Disorder), Arrive);
    }

    // A quiet run: connections stay, so what comes through is at its right place.
    private void Arrived(int from, int to, PeerMessage message)
    {
        if (_connections[from, to].Up(to))
        {
            _world.Machines[to].Post(new Input.PeerSpoke(_world.Machines[from].Id, message));
        }
    }

    private void NoticeSilence(Connection connection)
    {
        var generation = connection.Generation;
        _world.Events.After(_chance.Skewed(_world.Scenario.LeaseMicroseconds / 4, _world.Scenario.LeaseMicroseconds * 10), () =>
        {
            if (generation == connection.Generation && (IsCut(connection.A, connection.B) || IsCut(connection.B, connection.A) || !IsOpen(connection.A, connection.B)))
            {
                Break(connection, _world.Scenario.LeaseMicroseconds * 2);
            }
        });
    }

    private void Break(Connection connection, long noticedWithin)
    {
        connection.Waiting.Clear();
        if (_chance.Happens(0.7))
        {
            connection.Stream++; // all that was in flight is lost; else what was sent before the end still arrives
        }

        var generation = connection.Generation;
        if (!connection.Up(connection.A) || !connection.Up(connection.B))
        {
            connection.TornGeneration = generation; // The end that is not open yet will not be.
        }

        foreach (var machine in (int[])[connection.A, connection.B])
        {
            if (!connection.Up(machine))
            {
                continue;
            }

            var side = machine == connection.A ? 1 : 0;
            var noticed = Math.Max(connection.LastDelivery[side] + 1, _world.Events.Now + _chance.Between(1, Math.Max(1, noticedWithin)));
            _world.Events.At(noticed, () =>
            {
                if (generation == connection.Generation && connection.Up(machine))
                {
                    connection.Lose(machine);
                    _world.Machines[machine].Post(new Input.PeerLost(_world.Machines[connection.Other(machine)].Id));
                    _world.Note(_world.Machines[machine].Id.Value, $"loses its connection to {_world.Machines[connection.Other(machine)].Id}");
                }
            });
        }
    }

    private void DialLater(Connection connection) =>
        _world.Events.After(_chance.Between(1_000, _world.Scenario.LeaseMicroseconds / 10), () => Dial(connection));

    private void Dial(Connection connection)
    {
        var (a, b) = (connection.A, connection.B);
        var reachable = !IsCut(a, b) && !IsCut(b, a) && _world.Machines[a].Answers && _world.Machines[b].Answers;
        if (reachable && !connection.Up(a) && !connection.Up(b))
        {
            Connect(connection);
        }

        if (_world.Scenario.Soak is null || !connection.Up(a))
        {
            DialLater(connection); // A quiet run breaks no connection.
        }
    }

    private void Connect(Connection connection)
    {
        var (a, b) = (connection.A, connection.B);
        var generation = ++connection.Generation;
        connection.Stream++;
        connection.LastDelivery[0] = connection.LastDelivery[1] = _world.Events.Now;
        var (first, second) = _chance.Happens(0.5) ? (a, b) : (b, a);
        Open(connection, first);
        var secondSide = second == a ? 0 : 1;
        var later = _world.Events.Now + _chance.Between(1, _world.Scenario.NetworkDelayMax);
        connection.LastDelivery[1 - secondSide] = later; // nothing arrives at the second before it knows of the connection
        _world.Events.At(later, () =>
        {
            if (connection.TornGeneration == generation)
            {
                return; // It has broken since: whoever has it open is told by that, and the other one never has it (seeds 208407, 1020233).
            }

            if (generation == connection.Generation && connection.Up(first) && _world.Machines[second].IsRunning)
            {
                Open(connection, second);
            }
            else if (generation == connection.Generation)
            {
                Break(connection, _world.Scenario.NetworkDelayMax);
            }
        });
    }

    private void Open(Connection connection, int machine)
    {
        connection.Open(machine);
        _world.Machines[machine].Post(new Input.PeerConnected(_world.Machines[connection.Other(machine)].Id));
    }

    private sealed class Connection(int a, int b)
    {
        private readonly bool[] _up = new bool[2];

        public int A { get; } = a;

        public int B { get; } = b;

        /// <summary>One more with every connection that is made.</summary>
        public int Generation { get; set; }

        /// <summary>The last that broke before both ends had it, or lost one of them with its host.</summary>
        public int TornGeneration { get; set; }

        /// <summary>What was sent under another number is lost.</summary>
        public int Stream { get; set; }

        public bool WaitsDuringCut { get; set; }

        public List<(int From, PeerMessage Message)> Waiting { get; } = [];

        /// <summary>By sender: A, B.</summary>
        public long[] LastDelivery { get; } = new long[2];

        public int Other(int machine) => machine == A ? B : A;

        public bool Up(int machine) => _up[machine == A ? 0 : 1];

        public void Open(int machine) => _up[machine == A ? 0 : 1] = true;

        public void Lose(int machine) => _up[machine == A ? 0 : 1] = false;
    }
}
