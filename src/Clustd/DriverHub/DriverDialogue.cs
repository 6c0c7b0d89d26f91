using System.Net.WebSockets;
using Clustd.Client.Protocol;
using Clustd.Core;
using Microsoft.Extensions.Logging;

namespace Clustd.Hub;

/// <summary>
/// What is said on one driver's connection: proof, registration, then inputs one way and outputs the other. It translates and decides nothing;
/// what is malformed, too much or out of turn is answered here and reaches nobody.
/// </summary>
/// <remarks>Messages come from the reading task, outputs from the decision loop: what both touch is behind the gate.</remarks>
internal sealed partial class DriverDialogue(DriverConnection connection, DriverLink<RpcMessage> link, DriverHub hub, DriverHubOptions options, ILogger log) : IDriverDialogue
{
    private const int MessagesBeforeProof = 8; // A stranger needs two.
    private const int RenewalsWaitingMax = 64; // Ten leases' worth: more means that the loop stands still, and then no answer helps.

    private readonly Lock _gate = new();
    private readonly Dictionary<long, (ServiceName Service, long Sequence)> _calls = []; // By request id. The core has one per service under way.
    private readonly List<(long Stamp, RpcMessage Request)> _renewals = [];
    private readonly DriverReports _reports = new(hub, options);
    private volatile Stage _stage = Stage.Greeting;
    private RpcMessage? _register;
    private string _clientNonce = "";
    private string _daemonNonce = "";
    private string _name = "a driver";
    private int _messages;
    private long _lastRequest;
    private bool _wasRegistered; // Invariant: true from the moment DriverRegistered is posted, so that DriverLost follows exactly once.
    private bool _unknownAnswerLogged;

    private enum Stage
    {
        Greeting,
        Proving,
        Authenticated,
        Registering,
        Registered,
        Over,
    }

    public bool IsAuthenticated => _stage is Stage.Authenticated or Stage.Registering or Stage.Registered;

    public string Name => _name;

    /// <summary>A message from the driver.</summary>
    public void Take(RpcMessage message)
    {
        if (!IsAuthenticated && ++_messages > MessagesBeforeProof)
        {
            link.End(WebSocketCloseStatus.PolicyViolation, "too many messages before the secret was proven; send hello, then authenticate");
        }
        else if (message.IsResponse)
        {
            TakeAnswer(message);
        }
        else
        {
            TakeRequest(message);
        }
    }

    /// <summary>It answers a call that is under way.</summary>
    public bool Awaits(RpcMessage message)
    {
        lock (_gate)
        {
            return message.IsResponse && _calls.ContainsKey(message.NumericId() ?? 0);
        }
    }

    /// <summary>No more messages will come.</summary>
    public void Gone()
    {
        lock (_gate)
        {
            _stage = Stage.Over;
            _calls.Clear();
            _renewals.Clear();
            _register = null;
        }

        if (_wasRegistered)
        {
            hub.Post(new Input.DriverLost(connection));
            hub.LeavePlace();
        }
    }

    public void Perform(Output output)
    {
        switch (output)
        {
            case Output.DriverAccepted accepted when TakeRegister(Stage.Registered) is { } request:
                link.Send(RpcMessage.Success(request, TermsOf(accepted), ProtocolJson.Default.RegisterResult));
                break;
            case Output.DriverRefused refused when TakeRegister(Stage.Over) is { } request:
                link.Send(RpcMessage.Failure(request, DriverErrorCodes.RegisterRefused, refused.Reason));
                link.End(WebSocketCloseStatus.PolicyViolation, "the registration was refused; its answer says why");
                break;
            case Output.DriverRefused:
                link.End(WebSocketCloseStatus.PolicyViolation, "the daemon refuses this driver; its log says why");
                break;
            case Output.DriverLease lease when TakeRenewal(lease.Stamp) is { } request:
                long? left = lease.Left is { } some ? Math.Max(0, some.Ticks / TimeSpan.TicksPerMicrosecond) : null; // Rounded down: never more than there is.
                var answer = RpcMessage.Success(request, new RenewResult { Stamp = lease.Stamp, LeftUs = left, Shortens = lease.Shortens ? true : null }, ProtocolJson.Default.RenewResult);
                if (request.NumericId() is null)
                {
                    link.Send(answer); // Its id, which comes back with the answer, may be as long as a message: not on this thread.
                }
                else
                {
                    link.SendAtOnce(answer);
                }

                break;
            case Output.Trigger trigger:
                Tell(trigger.Call);
                break;
            case Output.CancelTrigger cancel:
                var what = new CancelParams { Service = cancel.Service.Value, Sequence = cancel.Sequence };
                link.Send(RpcMessage.Notification(DriverMethods.Cancel, what, ProtocolJson.Default.CancelParams));
                break;
        }
    }

    public void End(WebSocketCloseStatus status, string reason, bool dropsQueue = false, TimeSpan? within = null) => link.End(status, reason, dropsQueue, within);

    private void TakeRequest(RpcMessage message)
    {
        switch (message.Method)
        {
            case DriverMethods.Hello when _stage == Stage.Greeting:
                Hello(message);
                break;
            case DriverMethods.Authenticate when _stage == Stage.Proving:
                Authenticate(message);
                break;
            case DriverMethods.Register when _stage == Stage.Authenticated:
                Register(message);
                break;
            case DriverMethods.Register when _stage is Stage.Registering or Stage.Registered:
                Refuse(message, DriverErrorCodes.InvalidRequest, "Cannot register a second time: this connection has registered already. Open a connection for each driver.");
                break;
            case DriverMethods.Renew when _stage == Stage.Registered:
                Renew(message);
                break;
            case DriverMethods.Stopped when IsAuthenticated:
                Stopped(message);
                break;
            case DriverMethods.Failed when _stage == Stage.Registered:
                Failed(message);
                break;
            case DriverMethods.Health when _stage == Stage.Registered:
                Answer(message, _reports.Health(_name, message), "a health report needs service, as text, and ok, true or false");
                break;
            case DriverMethods.Event when _stage == Stage.Registered:
                Answer(message, _reports.Event(_name, message), "an event needs level and text, as text");
                break;
            default:
                Refuse(message, DriverErrorCodes.MethodNotFound, WhyNot(message.Method!));
                break;
        }
    }

    private void Hello(RpcMessage message)
    {
        if (message.ReadParams(ProtocolJson.Default.HelloParams) is not { } hello || !Handshake.IsNonce(hello.Nonce))
        {
            Refuse(message, DriverErrorCodes.InvalidParams, "Cannot greet: the nonce is missing or weak. Send base64 of 32 random bytes, new for every connection.");
            return;
        }

        _name = BoundedText.OneLine(hello.Name, _name, RegistrationReader.NameCharsMax);
        _clientNonce = hello.Nonce;
        _daemonNonce = Handshake.NewNonce();
        _stage = Stage.Proving;
        // The daemon proves first: an impostor on the port learns nothing from the driver.
        var result = new HelloResult
        {
            Machine = options.Self.Value,
            Version = options.Version,
            Nonce = _daemonNonce,
            Proof = Handshake.DaemonProof(hub.Key, _clientNonce, _daemonNonce),
            OldProof = hub.OldKey is { } old ? Handshake.DaemonProof(old, _clientNonce, _daemonNonce) : null,
        };
        link.Send(RpcMessage.Success(message, result, ProtocolJson.Default.HelloResult));
    }

    private void Authenticate(RpcMessage message)
    {
        var proof = message.ReadParams(ProtocolJson.Default.AuthenticateParams)?.Proof;
        var isRight = Handshake.Matches(proof, Handshake.DriverProof(hub.Key, _clientNonce, _daemonNonce));
        if (hub.OldKey is { } old)
        {
            isRight |= Handshake.Matches(proof, Handshake.DriverProof(old, _clientNonce, _daemonNonce));
        }

        if (!isRight)
        {
            // One try per connection: whoever guesses pays for a new one, and the daemon's nonce is used once.
            _stage = Stage.Over;
            hub.WrongSecret(_name);
            Refuse(message, DriverErrorCodes.AuthenticationFailed, $"{options.Self} refuses the driver: its proof does not fit the cluster's secret. Give the driver the value of cluster.secret of this machine.");
            link.End(WebSocketCloseStatus.PolicyViolation, "wrong secret");
            return;
        }

        _stage = Stage.Authenticated;
        link.Limit(options.RegisterLimit, "you have not registered in time; send register after authenticate");
        link.Send(RpcMessage.Success(message, EmptyResult.Instance, ProtocolJson.Default.EmptyResult));
    }

    private void Register(RpcMessage message)
    {
        var (registration, problem) = RegistrationReader.Read(message.ReadParams(ProtocolJson.Default.RegisterParams));
        if (registration is null || message.Id is null)
        {
            Refuse(message, DriverErrorCodes.InvalidParams, problem ?? "Cannot register by a notification.");
            return;
        }

        if (!hub.TakePlace(this))
        {
            Refuse(message, DriverErrorCodes.InstanceBusy, $"Cannot register '{registration.Name}': {options.DriversMax} drivers are registered here, which is the limit. Stop one that is not needed, then try again.");
            return;
        }

        lock (_gate)
        {
            _stage = Stage.Registering;
            _register = message;
        }

        _name = registration.Name.Value;
        _wasRegistered = true;
        link.Limit(null, "");
        hub.Post(new Input.DriverRegistered(connection, registration));
    }

    private void Renew(RpcMessage message)
    {
        if (message.ReadParams(ProtocolJson.Default.RenewParams) is not { } renew || message.Id is null)
        {
            Refuse(message, DriverErrorCodes.InvalidParams, "Cannot renew: the stamp is missing or no whole number. Send the driver's own clock in microseconds.");
            return;
        }

        bool hasRoom;
        lock (_gate)
        {
            hasRoom = _renewals.Count < RenewalsWaitingMax;
            if (hasRoom)
            {
                _renewals.Add((renew.Stamp, message));
            }
        }

        if (hasRoom)
        {
            hub.Post(new Input.DriverRenewed(connection, renew.Stamp) { Left = LeftOf(renew.LeftUs) });
        }
        else
        {
            Refuse(message, DriverErrorCodes.InternalError, $"Cannot renew: {RenewalsWaitingMax} renewals wait for the daemon's decision loop. Renew less often, or look at the daemon's log for why it is late.");
        }
    }

    // More than a day is longer than any grace: whoever says so is not believed.
    private static TimeSpan? LeftOf(long? microseconds) => microseconds is { } left and <= 86_400_000_000 ? TimeSpan.FromMicroseconds(Math.Max(0, left)) : null;

    private void Stopped(RpcMessage message)
    {
        var said = message.ReadParams(ProtocolJson.Default.StoppedParams);
        var isValid = said is not null && BoundedText.IsName(said.Name, RegistrationReader.NameCharsMax) && BoundedText.IsName(said.Instance, RegistrationReader.NameCharsMax)
            && RegistrationReader.IsService(said.Service) && RegistrationReader.IsToken(said.Token);
        if (isValid)
        {
            var reason = BoundedText.OneLine(said!.Reason, "it says that nothing is left");
            hub.Post(new Input.DriverStopped(new DriverName(said.Name), said.Instance, new ServiceName(said.Service), new Token(said.Token), reason));
        }

        Answer(message, isValid, "a proof needs name, instance and service, as text, and token, a number");
    }

    private void Failed(RpcMessage message)
    {
        var said = message.ReadParams(ProtocolJson.Default.FailedParams);
        var isValid = said is not null && RegistrationReader.IsService(said.Service) && RegistrationReader.IsToken(said.Token);
        if (isValid)
        {
            hub.Post(new Input.DriverFailed(connection, new ServiceName(said!.Service), new Token(said.Token), BoundedText.OneLine(said.Reason, "it gave no reason")));
        }

        Answer(message, isValid, "a failure needs service, as text, and token, a number");
    }

    private void TakeAnswer(RpcMessage message)
    {
        (ServiceName Service, long Sequence) call;
        bool isKnown;
        lock (_gate)
        {
            isKnown = _calls.Remove(message.NumericId() ?? 0, out call);
        }

        if (isKnown)
        {
            var error = message.Error is { } failure ? BoundedText.OneLine(failure.Message, "it gave no reason") : null;
            hub.Post(new Input.DriverAnswered(connection, call.Service, call.Sequence, error));
        }
        else if (!_unknownAnswerLogged)
        {
            _unknownAnswerLogged = true; // Once per connection: what a driver repeats must not fill the log.
            LogUnknownAnswer(log, _name);
        }
    }

    private void Tell(TriggerCall call)
    {
        long id;
        lock (_gate)
        {
            if (_stage != Stage.Registered)
            {
                return; // Lost meanwhile: the loop hears of it next.
            }

            id = ++_lastRequest;
            _calls.Add(id, (call.Service, call.Sequence));
        }

        var trigger = new TriggerParams
        {
            Service = call.Service.Value,
            IsMaster = call.IsMaster,
            Token = call.Token.Value,
            Reason = BoundedText.OneLine(call.Reason, "", DriverProtocol.TextCharsMax),
            Sequence = call.Sequence,
            LimitUs = call.Limit.Ticks / TimeSpan.TicksPerMicrosecond,
            Kill = call.Kill,
            TakesOverFrom = call.TakesOverFrom.IsDefaultOrEmpty ? null : [.. call.TakesOverFrom.Select(machine => machine.Value)],
        };
        link.Send(RpcMessage.Request(id, DriverMethods.Trigger, trigger, ProtocolJson.Default.TriggerParams));
    }

    private RegisterResult TermsOf(Output.DriverAccepted accepted)
    {
        var lease = accepted.Lease.Ticks / TimeSpan.TicksPerMicrosecond;
        return new RegisterResult
        {
            Machine = options.Self.Value,
            LeaseUs = lease,
            RenewEveryUs = lease / 4, // Some may be late before the lease is over; with less than half of it left a driver asks eight times as often.
            KillTimeoutUs = accepted.KillTimeout.Ticks / TimeSpan.TicksPerMicrosecond,
            Services = [.. accepted.Services.Select(service => service.Value)],
        };
    }

    private RpcMessage? TakeRegister(Stage next)
    {
        lock (_gate)
        {
            if (_stage != Stage.Registering)
            {
                return null;
            }

            var request = _register;
            (_register, _stage) = (null, next);
            return request;
        }
    }

    private RpcMessage? TakeRenewal(long stamp)
    {
        lock (_gate)
        {
            var index = _renewals.FindIndex(renewal => renewal.Stamp == stamp);
            if (index < 0)
            {
                return null;
            }

            var request = _renewals[index].Request;
            _renewals.RemoveAt(index);
            return request;
        }
    }

    private void Answer(RpcMessage message, bool isValid, string rule)
    {
        if (!isValid)
        {
            Refuse(message, DriverErrorCodes.InvalidParams, $"Cannot take '{message.Method}': {rule}. Correct the driver; docs/protocol.md has the fields.");
        }
        else if (message.IsRequest)
        {
            link.Send(RpcMessage.Success(message, EmptyResult.Instance, ProtocolJson.Default.EmptyResult));
        }
    }

    private void Refuse(RpcMessage message, int code, string reason)
    {
        if (message.IsRequest)
        {
            link.Send(RpcMessage.Failure(message, code, reason));
        }
    }

    private string WhyNot(string method)
    {
        var known = method is DriverMethods.Hello or DriverMethods.Authenticate or DriverMethods.Register or DriverMethods.Renew or DriverMethods.Stopped
            or DriverMethods.Failed or DriverMethods.Health or DriverMethods.Event;
        var name = BoundedText.OneLine(method, "", 64);
        return !known ? $"'{name}' is unknown to this daemon, which speaks {DriverProtocol.SubProtocol}. Correct the method, or update clustd."
            : _stage switch
            {
                Stage.Greeting => $"Cannot take '{name}' yet: the secret has not been proven. Send hello, then authenticate.",
                Stage.Proving => $"Cannot take '{name}' now: the proof is awaited. Send authenticate.",
                Stage.Authenticated or Stage.Registering => $"Cannot take '{name}' yet: this connection has not registered. Send register and await its answer.",
                _ => $"Cannot take '{name}' now: it comes once, at the start of a connection. Open another connection.",
            };
    }

    [LoggerMessage(LogLevel.Information, "Driver {Name} answered a call that is not under way. The answer is ignored, and so are further ones on this connection.")]
    private static partial void LogUnknownAnswer(ILogger logger, string name);
}
