namespace Clustd.Peers;

/// <summary>
/// Keeps trying one configured address while the machine there is not linked with us, whichever side dialled. Which machine
/// that is it learns by dialling: only a certificate proves it.
/// </summary>
internal sealed class PeerDialer(PeerAddress address, PeerNetworkOptions options, PeerTable table, PeerGreeting greeting, TimeProvider time)
{
    // A machine that we cannot reach but that reaches us (NAT) needs no dial; one now and then finds out when that changes.
    private static readonly TimeSpan RedialWhenReached = TimeSpan.FromSeconds(10);

    // Our own address under another name, now; a name may move.
    private static readonly TimeSpan RedialWhenSelf = TimeSpan.FromMinutes(1);

    private readonly PeerConnector _connector = new(address, options);
    private readonly CancellationTokenSource _stopping = new();
    private readonly Lock _gate = new();
    private string? _machineId;
    private PeerState _state = PeerState.Dialling;
    private DateTimeOffset _since = time.GetUtcNow();
    private string? _lastError;
    private TimeSpan _backOff = options.RedialMin;
    private Task _running = Task.CompletedTask;

    public PeerAddress Address => address;

    public void Start() => _running = Task.Run(RunAsync);

    /// <summary>Stops dialling. A link that came of it lives on in the table.</summary>
    public void Stop() => _stopping.Cancel();

    /// <summary>Done when nothing of this dialer runs any more, its link included.</summary>
    public Task Finished => _running;

    public PeerView View(IReadOnlyList<PeerLink> links)
    {
        lock (_gate)
        {
            var link = links.FirstOrDefault(each => each.MachineId == _machineId)
                       ?? (_machineId is null ? links.FirstOrDefault(IsAt) : null);
            return link is not null
                ? new PeerView(address.ToString(), link.MachineId, PeerState.Connected, link.Since, null)
                : new PeerView(address.ToString(), _machineId, _state, _since, _lastError);
        }
    }

    private async Task RunAsync()
    {
        var stopping = _stopping.Token;
        try
        {
            while (true)
            {
                await WaitUntilNeededAsync(stopping);
                var pause = await TryOnceAsync(stopping);
                await Task.Delay(pause, time, stopping);
            }
        }
        catch (Exception) when (stopping.IsCancellationRequested)
        {
            // Stopped: that is how this loop ends. A WebSocket that was broken off says so in words of its own, not as a cancellation.
        }
    }

    private async Task WaitUntilNeededAsync(CancellationToken cancellationToken)
    {
        while (_machineId is { } machineId)
        {
            if (table.Find(machineId) is { } link)
            {
                Reset();
                await link.Lost.WaitAsync(cancellationToken);
                await Task.Delay(Jitter(options.RedialMin), time, cancellationToken); // both sides dial: not at the same instant
            }
            else if (table.PauseLeft(machineId) is { } left && left > TimeSpan.Zero)
            {
                await Task.Delay(left, time, cancellationToken);
            }
            else
            {
                return;
            }
        }
    }

    /// <returns>How long to wait before looking again.</returns>
    private async Task<TimeSpan> TryOnceAsync(CancellationToken cancellationToken)
    {
        try
        {
            var (socket, machineId) = await _connector.ConnectAsync(cancellationToken);
            using (socket)
            {
                var meeting = await greeting.GreetAsync(socket, machineId, address.ToString(), cancellationToken);
                // Whoever is refused is not the machine of that id: we go on looking here, and show it as refused.
                _machineId = meeting is PeerMeeting.Linked or PeerMeeting.Duplicate ? machineId : null;
                return await FollowAsync(meeting);
            }
        }
        catch (PeerStrangerException exception)
        {
            table.Refused(address.ToString(), exception.Message);
            Note(PeerState.Refused, exception.Message);
        }
        catch (Exception exception) when (!cancellationToken.IsCancellationRequested)
        {
            // Any failure of a dial has one answer, to say it and to dial again: nothing here may end the loop.
            var unreachable = exception as PeerUnreachableException ?? PeerUnreachableException.From(exception);
            return Unreachable(unreachable.Message, unreachable.Advice);
        }

        return NextBackOff();
    }

    private async Task<TimeSpan> FollowAsync(PeerMeeting meeting)
    {
        switch (meeting)
        {
            case PeerMeeting.Linked linked:
                Reset();
                await linked.Link.RunAsync();
                return Jitter(options.RedialMin);
            case PeerMeeting.Duplicate:
                return Jitter(options.RedialMin); // by then the other connection is in the table here too
            case PeerMeeting.Self:
                Note(PeerState.Self, null);
                return RedialWhenSelf;
            case PeerMeeting.Refused refused:
                table.Refused(address.ToString(), refused.Reason);
                Note(PeerState.Refused, refused.Reason);
                return NextBackOff();
            default:
                throw new System.Diagnostics.UnreachableException($"A meeting ended in {meeting}.");
        }
    }

    private TimeSpan Unreachable(string reason, string advice)
    {
        var sentence = $"{address} {reason}";
        if (_machineId is null && table.Links.Any(IsAt))
        {
            return RedialWhenReached;
        }

        if (Note(PeerState.Unreachable, sentence))
        {
            table.Unreachable(address, sentence, advice);
        }

        return NextBackOff();
    }

    private bool IsAt(PeerLink link) => PeerAddress.TryParse(link.Address, out var theirs) && theirs == address;

    /// <summary>True if it is news.</summary>
    private bool Note(PeerState state, string? error)
    {
        lock (_gate)
        {
            var isNews = _state != state || _lastError != error;
            _since = _state == state ? _since : time.GetUtcNow();
            (_state, _lastError) = (state, error);
            return isNews;
        }
    }

    private void Reset()
    {
        _backOff = options.RedialMin;
        Note(PeerState.Dialling, null);
    }

    private TimeSpan NextBackOff()
    {
        var pause = Jitter(_backOff);
        _backOff = _backOff * 2 < options.RedialMax ? _backOff * 2 : options.RedialMax;
        return pause;
    }

    // Between half and all of it: machines that lost each other at the same instant spread out.
    private static TimeSpan Jitter(TimeSpan most) => most * (0.5 + (Random.Shared.NextDouble() / 2));
}
