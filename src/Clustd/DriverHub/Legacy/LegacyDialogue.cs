using System.Net.WebSockets;
using System.Security.Cryptography;
using Clustd.Core;
using Microsoft.Extensions.Logging;

namespace Clustd.Hub.Legacy;

/// <summary>
/// What is said with a driver of 2018: two greetings, then triggers and their answers. To the decision loop it is a best-effort driver like any other; what such a
/// driver cannot do, renew its lease and stop when that ends, is done here on its behalf.
/// </summary>
/// <remarks>Messages come from the reading task, outputs from the decision loop, time from timers: what they share is behind the gate.</remarks>
internal sealed partial class LegacyDialogue : IDriverDialogue
{
    private const string NamePrefix = "legacy-";
    private const int IdCharsMax = RegistrationReader.NameCharsMax - 7; // less the prefix
    private const int RenewalsPerLease = 8;
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(3); // As in 2018; the answer comes before the work.

    private readonly DriverConnection _connection;
    private readonly DriverLink<LegacyMessage> _link;
    private readonly LegacyCipher _cipher;
    private readonly DriverHub _hub;
    private readonly DriverHubOptions _options;
    private readonly ILogger _log;
    private readonly LegacyLease _lease;
    private readonly Lock _gate = new();
    private readonly Dictionary<long, Told> _underWay = []; // By req_id.
    private readonly string _instance = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16)); // Per connection: two programs with one id must not pass for one.
    private readonly uint _ticket = NewTicket();
    private volatile Stage _stage = Stage.Greeting; // Also read without the gate: the hub asks while it holds its own.
    private string _name = "a driver of 2018";
    private Told? _told; // The newest trigger that was sent; null: none, or it failed.
    private TriggerCall? _waiting; // A start that waits for the lease.
    private long _lastRequest = -1; // 2018 counts from 0.

    private enum Stage
    {
        Greeting,
        Registering,
        Registered,
        Over,
    }

    public LegacyDialogue(DriverConnection connection, DriverLink<LegacyMessage> link, LegacyCipher cipher, DriverHub hub, DriverHubOptions options, ILogger log)
    {
        (_connection, _link, _cipher, _hub, _options, _log) = (connection, link, cipher, hub, options, log);
        _lease = new LegacyLease(options.Time, stamp => hub.Post(new Input.DriverRenewed(connection, stamp)), LeaseIsOver);
    }

    public bool IsAuthenticated => _stage is Stage.Registering or Stage.Registered;

    public string Name => _name;

    /// <summary>The daemon speaks first. `address`: where the driver has reached us and is to come back to.</summary>
    public void Greet(string address) => _link.Send(new LegacyMessage { HelloWorld = _ticket, Id = _options.Self.Value, RemoteAddress = address });

    /// <summary>A message from the driver.</summary>
    public void Take(LegacyMessage message)
    {
        lock (_gate)
        {
            if (_stage == Stage.Greeting)
            {
                TakeHello(message);
            }
            else if (message.ResId is { } id)
            {
                TakeAnswer(id, message.Error);
            }
            else if (message.ReqId is { } request)
            {
                // Nothing is asked of a daemon by a driver of 2018; these are its own words for it.
                _link.Send(new LegacyMessage { ResId = request, Error = "unrecognized method for this machine" });
            }
            else
            {
                _link.End(WebSocketCloseStatus.ProtocolError, "neither a request nor an answer of the 2018 protocol", dropsQueue: true);
            }
        }
    }

    /// <summary>It answers a call that is under way.</summary>
    public bool Awaits(LegacyMessage message)
    {
        lock (_gate)
        {
            return message.ResId is { } id && _underWay.ContainsKey(id);
        }
    }

    /// <summary>No more messages will come.</summary>
    public void Gone()
    {
        bool wasRegistered;
        lock (_gate)
        {
            wasRegistered = _stage is Stage.Registering or Stage.Registered;
            _stage = Stage.Over;
            _underWay.Clear();
            _waiting = null;
        }

        _lease.Dispose();
        if (wasRegistered)
        {
            _hub.Post(new Input.DriverLost(_connection));
            _hub.LeavePlace();
        }
    }

    public void End(WebSocketCloseStatus status, string reason, bool dropsQueue = false, TimeSpan? within = null) => _link.End(status, reason, dropsQueue, within);

    public void Perform(Output output)
    {
        lock (_gate)
        {
            if (_stage is not (Stage.Registering or Stage.Registered))
            {
                return; // Lost meanwhile: the loop hears of it next.
            }

            switch (output)
            {
                case Output.DriverAccepted accepted:
                    _stage = Stage.Registered;
                    _lease.Begin(accepted.Lease / RenewalsPerLease);
                    break;
                case Output.DriverRefused:
                    _link.End(WebSocketCloseStatus.PolicyViolation, "the daemon refuses this driver for now; its log says why");
                    break;
                case Output.DriverLease lease:
                    TakeLease(lease);
                    break;
                case Output.Trigger { Call.IsMaster: true } trigger when !_lease.IsHeld:
                    _waiting = trigger.Call; // No start without a lease: the next answer to a renewal decides.
                    _lease.Renew();
                    break;
                case Output.Trigger trigger:
                    Tell(trigger.Call);
                    break;
                case Output.CancelTrigger cancel when _waiting?.Sequence == cancel.Sequence:
                    Refuse("it was cancelled before it began"); // A start that was sent cannot be called back, and is answered soon.
                    break;
            }
        }
    }

    private void TakeHello(LegacyMessage message)
    {
        if (message.HelloWorld != _ticket)
        {
            // 2018 took whatever ticket came, so a whole recorded conversation could be played to it again.
            _link.End(WebSocketCloseStatus.PolicyViolation, "the first message must bring back the ticket of this connection");
        }
        else if (!BoundedText.IsName(message.Id, IdCharsMax))
        {
            _link.End(WebSocketCloseStatus.PolicyViolation, $"the driver's id needs 1 to {IdCharsMax} printable characters");
        }
        else if (!_hub.TakePlace(this))
        {
            _link.End(WebSocketCloseStatus.PolicyViolation, $"{_options.DriversMax} drivers are registered here, which is the limit; stop one");
        }
        else
        {
            _cipher.Bind(_ticket);
            _stage = Stage.Registering;
            _name = NamePrefix + message.Id;
            _link.Limit(null, "");
            // Services empty: the default one, which 2018 called the cluster's master.
            _hub.Post(new Input.DriverRegistered(_connection, new DriverRegistration { Name = new DriverName(_name), Instance = _instance, StopsForCertain = false }));
        }
    }

    private void TakeAnswer(long id, string? error)
    {
        if (!_underWay.Remove(id, out var told))
        {
            return;
        }

        if (_underWay.Count == 0)
        {
            _link.Limit(null, "");
        }

        told.IsAcknowledged = error is null;
        if (error is not null && ReferenceEquals(_told, told))
        {
            _told = null; // Whatever it is told next is told for sure.
        }

        if (told.IsOwnStop && error is null)
        {
            // Not proof, but as much as its answer to the daemon is worth. The loop tells it its level again, should it still be to run.
            _hub.Post(new Input.DriverStopped(new DriverName(_name), _instance, told.Service, told.Token, "it was told so when the lease was over"));
        }

        foreach (var sequence in told.Sequences)
        {
            _hub.Post(new Input.DriverAnswered(_connection, told.Service, sequence, error is null ? null : BoundedText.OneLine(error, "it gave no reason")));
        }
    }

    private void TakeLease(Output.DriverLease lease)
    {
        if (!_lease.Take(lease.Stamp, lease.Left))
        {
            return;
        }

        if (_lease.IsHeld)
        {
            if (_waiting is { } start)
            {
                _waiting = null;
                Tell(start);
            }
        }
        else
        {
            LeaseIsOver();
        }
    }

    // From the timer, or under the gate already: the lock lets its holder in again.
    private void LeaseIsOver()
    {
        lock (_gate)
        {
            if (_waiting is not null)
            {
                Refuse("there is no lease");
            }

            if (_stage == Stage.Registered && _told is { IsMaster: true } running)
            {
                LogLeaseOver(_log, _name, running.Service.Value);
                Send(new Told(false, running.Service, running.Token) { IsOwnStop = true });
            }
        }
    }

    private void Refuse(string why)
    {
        var start = _waiting!;
        _waiting = null;
        _hub.Post(new Input.DriverAnswered(_connection, start.Service, start.Sequence, why));
    }

    // As in 2018 a driver is told its state when it comes, and then only changes: its scripts may not bear to be run twice at a time.
    private void Tell(TriggerCall call)
    {
        if (_told is not { } told || told.IsMaster != call.IsMaster || told.Service != call.Service)
        {
            Send(new Told(call.IsMaster, call.Service, call.Token) { Sequences = { call.Sequence } });
        }
        else if (told.IsAcknowledged)
        {
            _hub.Post(new Input.DriverAnswered(_connection, call.Service, call.Sequence, null));
        }
        else
        {
            told.Sequences.Add(call.Sequence);
        }
    }

    private void Send(Told told)
    {
        if (_underWay.Count == 0)
        {
            _link.Limit(AnswerLimit, "a trigger was not answered within 3 s");
        }

        _told = told;
        _underWay.Add(++_lastRequest, told);
        _link.Send(LegacyMessage.Trigger(_lastRequest, told.IsMaster));
    }

    private static uint NewTicket()
    {
        while (true)
        {
            var ticket = BitConverter.ToUInt32(RandomNumberGenerator.GetBytes(sizeof(uint)));
            // Their library takes zero for "no ticket" and would never answer.
            if (ticket != 0)
            {
                return ticket;
            }
        }
    }

    /// <summary>One trigger that was sent. The loop's call that it answers, or none for a stop of our own; a call for the same may join it.</summary>
    private sealed class Told(bool isMaster, ServiceName service, Token token)
    {
        public bool IsMaster => isMaster;

        public ServiceName Service => service;

        public Token Token => token;

        public bool IsOwnStop { get; init; }

        public bool IsAcknowledged { get; set; }

        public List<long> Sequences { get; } = [];
    }

    [LoggerMessage(LogLevel.Warning, "The lease of this machine is over, so driver '{Name}' of 2018 was told to stop '{Service}'. It answers before it has stopped: look whether it has, or replace it by a driver that stops for certain (docs/legacy-drivers.md).")]
    private static partial void LogLeaseOver(ILogger logger, string name, string service);
}
