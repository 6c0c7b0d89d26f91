using Tmds.DBus.Protocol;

namespace Clustd.Drivers.Systemd;

/// <summary>
/// The part of org.freedesktop.systemd1 that starts, stops and watches units, over one connection. Every call has a limit: a bus that hangs is an error, and not a driver that hangs.
/// </summary>
internal sealed class SystemdBus : IDisposable
{
    private const string Destination = "org.freedesktop.systemd1", ManagerPath = "/org/freedesktop/systemd1";
    private const string ManagerInterface = "org.freedesktop.systemd1.Manager", UnitInterface = "org.freedesktop.systemd1.Unit", ServiceInterface = "org.freedesktop.systemd1.Service";
    private const string PropertiesInterface = "org.freedesktop.DBus.Properties";
    private const int FinishedJobsMax = 64;

    private static readonly TimeSpan CallLimit = TimeSpan.FromSeconds(4);

    private readonly DBusConnection _connection;
    private readonly string _address;
    private readonly Lock _gate = new();
    private readonly Dictionary<string, TaskCompletionSource<string>> _jobs = new(StringComparer.Ordinal);
    private readonly Queue<(string Job, string Result)> _finished = new(); // the signal may come before the answer that names its job
    private readonly HashSet<string> _watched = new(StringComparer.Ordinal);

    private SystemdBus(DBusConnection connection, string address) => (_connection, _address) = (connection, address);

    public bool IsClosed { get; private set; }

    /// <param name="address">Of a bus: <c>unix:path=/run/user/1000/bus</c>. Null: the system's.</param>
    /// <exception cref="DriverFailedException">There is no bus, or no systemd on it.</exception>
    public static async Task<SystemdBus> ConnectAsync(string? address, CancellationToken cancellationToken)
    {
        string bus = address ?? DBusAddress.System ?? "unix:path=/run/dbus/system_bus_socket";
        DBusConnection? connection = null;
        try
        {
            connection = new DBusConnection(bus);
            var opened = new SystemdBus(connection, bus);
            await Limited(connection.ConnectAsync().AsTask(), opened, cancellationToken).ConfigureAwait(false);
            await opened.ListenAsync(cancellationToken).ConfigureAwait(false);
            return opened;
        }
        catch (Exception e)
        {
            connection?.Dispose();
            if (e is OperationCanceledException or DriverFailedException) throw;
            throw SystemdErrors.Of(e, bus, null);
        }
    }

    /// <summary>Calls <paramref name="changed"/> when a unit's state changes or the connection is lost. On a thread of the library: it must not block.</summary>
    public async Task WatchAsync(string unit, Action changed, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (_watched.Contains(unit)) return;
        }
        string path = await LoadAsync(unit, cancellationToken).ConfigureAwait(false);
        var rule = new MatchRule { Type = MessageType.Signal, Sender = Destination, Path = path, Interface = PropertiesInterface, Member = "PropertiesChanged", Arg0 = UnitInterface };
        await Limited(_connection.AddMatchAsync(rule, _ => changed(), emitOnCapturedContext: false, ObserverFlags.EmitOnConnectionClosed).AsTask(), cancellationToken).ConfigureAwait(false);
        lock (_gate) _watched.Add(unit);
    }

    public async Task<UnitState> LookAsync(string unit, CancellationToken cancellationToken)
    {
        string path = await LoadAsync(unit, cancellationToken).ConfigureAwait(false);
        Task<VariantValue> Of(string of, string property) => GetAsync(unit, path, of, property, cancellationToken);
        var (load, active, sub, file) = (Of(UnitInterface, "LoadState"), Of(UnitInterface, "ActiveState"), Of(UnitInterface, "SubState"), Of(UnitInterface, "UnitFileState"));
        var (noStart, noStop, by) = (Of(UnitInterface, "RefuseManualStart"), Of(UnitInterface, "RefuseManualStop"), Of(UnitInterface, "TriggeredBy"));
        var (result, restart, type, remain) = (Of(ServiceInterface, "Result"), Of(ServiceInterface, "Restart"), Of(ServiceInterface, "Type"), Of(ServiceInterface, "RemainAfterExit"));
        var (killMode, group) = (Of(ServiceInterface, "KillMode"), Of(ServiceInterface, "ControlGroup"));
        await Task.WhenAll(load, active, sub, file, noStart, noStop, by, result, restart, type, remain, killMode, group).ConfigureAwait(false);
        return new UnitState
        {
            Name = unit, LoadState = Text(load), ActiveState = Text(active), SubState = Text(sub), FileState = Text(file),
            RefuseManualStart = Flag(noStart), RefuseManualStop = Flag(noStop), TriggeredBy = by.Result.Type == VariantValueType.Array ? by.Result.GetArray<string>() : [],
            Result = Text(result), Restart = Text(restart), Type = Text(type), RemainAfterExit = Flag(remain), KillMode = Text(killMode), ControlGroup = Text(group),
        };
    }

    /// <summary>Returns the job's result when it has ended: done, failed, canceled, timeout, dependency, skipped.</summary>
    public Task<string> StartAsync(string unit, CancellationToken cancellationToken) => RunJobAsync("StartUnit", unit, cancellationToken);

    /// <summary>As <see cref="StartAsync"/>. A unit that is not loaded is stopped: "done".</summary>
    public async Task<string> StopAsync(string unit, CancellationToken cancellationToken)
    {
        try
        {
            return await RunJobAsync("StopUnit", unit, cancellationToken).ConfigureAwait(false);
        }
        catch (DriverFailedException e) when (SystemdErrors.IsNoSuchUnit(e))
        {
            return "done";
        }
    }

    /// <summary>SIGKILL to all processes of a unit. Returns when systemd has done it; a unit without any is fine.</summary>
    public async Task KillAsync(string unit, CancellationToken cancellationToken)
    {
        try
        {
            await DoneAsync(() => _connection.CallMethodAsync(KillMessage(unit)), unit, cancellationToken).ConfigureAwait(false);
        }
        catch (DriverFailedException e) when (SystemdErrors.IsNoSuchUnit(e))
        {
            // It is not even loaded.
        }
    }

    public void Dispose()
    {
        IsClosed = true;
        _connection.Dispose();
    }

    private async Task ListenAsync(CancellationToken cancellationToken)
    {
        var removed = new MatchRule { Type = MessageType.Signal, Sender = Destination, Path = ManagerPath, Interface = ManagerInterface, Member = "JobRemoved" };
        await Limited(_connection.AddMatchAsync(removed, ReadJob, (Notification<(string, string)> heard) =>
        {
            if (heard.HasValue) JobEnded(heard.Value.Item1, heard.Value.Item2);
            else Lost();
        }, emitOnCapturedContext: false, ObserverFlags.EmitOnConnectionClosed).AsTask(), cancellationToken).ConfigureAwait(false);
        await DoneAsync(() => _connection.CallMethodAsync(Message(ManagerPath, ManagerInterface, "Subscribe")), null, cancellationToken).ConfigureAwait(false);
    }

    private Task<string> LoadAsync(string unit, CancellationToken cancellationToken) =>
        CalledAsync(() => _connection.CallMethodAsync(Message(ManagerPath, ManagerInterface, "LoadUnit", unit), ReadPath), unit, cancellationToken);

    private Task<VariantValue> GetAsync(string unit, string path, string of, string property, CancellationToken cancellationToken) =>
        CalledAsync(() => _connection.CallMethodAsync(Message(path, PropertiesInterface, "Get", of, property), ReadVariant), unit, cancellationToken);

    private async Task<string> RunJobAsync(string method, string unit, CancellationToken cancellationToken)
    {
        // "replace": what another job wants of the unit gives way, because this machine's lease decides.
        string job = await CalledAsync(() => _connection.CallMethodAsync(Message(ManagerPath, ManagerInterface, method, unit, "replace"), ReadPath), unit, cancellationToken).ConfigureAwait(false);
        TaskCompletionSource<string> ended;
        lock (_gate)
        {
            if (_finished.FirstOrDefault(each => each.Job == job) is { Result: { } result }) return result;
            if (!_jobs.TryGetValue(job, out ended!)) _jobs[job] = ended = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
            if (IsClosed) throw SystemdErrors.Lost(_address);
        }
        try
        {
            return await ended.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            lock (_gate) _jobs.Remove(job);
        }
    }

    private void JobEnded(string job, string result)
    {
        lock (_gate)
        {
            if (_finished.Count == FinishedJobsMax) _finished.Dequeue();
            _finished.Enqueue((job, result));
            if (_jobs.TryGetValue(job, out var waiting)) waiting.TrySetResult(result);
        }
    }

    private void Lost()
    {
        lock (_gate)
        {
            IsClosed = true;
            foreach (var waiting in _jobs.Values) waiting.TrySetException(SystemdErrors.Lost(_address));
        }
    }

    private MessageBuffer Message(string path, string of, string member, params ReadOnlySpan<string> arguments)
    {
        using var writer = _connection.GetMessageWriter();
        writer.WriteMethodCallHeader(Destination, path, of, member, arguments.Length == 0 ? null : new string('s', arguments.Length));
        foreach (string argument in arguments) writer.WriteString(argument);
        return writer.CreateMessage();
    }

    private MessageBuffer KillMessage(string unit)
    {
        using var writer = _connection.GetMessageWriter();
        writer.WriteMethodCallHeader(Destination, ManagerPath, ManagerInterface, "KillUnit", "ssi");
        writer.WriteString(unit);
        writer.WriteString("all");
        writer.WriteInt32(Processes.LinuxCalls.SIGKILL);
        return writer.CreateMessage();
    }

    private async Task DoneAsync(Func<Task> call, string? unit, CancellationToken cancellationToken)
    {
        try
        {
            await Limited(call(), cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not OperationCanceledException and not DriverFailedException)
        {
            if (e is DBusConnectionException) Lost();
            throw SystemdErrors.Of(e, _address, unit);
        }
    }

    private async Task<T> CalledAsync<T>(Func<Task<T>> call, string? unit, CancellationToken cancellationToken)
    {
        Task<T>? made = null;
        await DoneAsync(() => made = call(), unit, cancellationToken).ConfigureAwait(false);
        return await made!.ConfigureAwait(false);
    }

    private Task Limited(Task call, CancellationToken cancellationToken) => Limited(call, this, cancellationToken);

    // The library's calls wait for ever. One that is given up leaves an answer behind that nobody waits for: the connection is not used again.
    private static async Task Limited(Task call, SystemdBus bus, CancellationToken cancellationToken)
    {
        try
        {
            await call.WaitAsync(CallLimit, cancellationToken).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            _ = call.ContinueWith(ended => ended.Exception, TaskContinuationOptions.OnlyOnFaulted);
            bus.Dispose();
            throw SystemdErrors.Silent(bus._address, CallLimit);
        }
    }

    private static (string, string) ReadJob(Message message, object? state)
    {
        var reader = message.GetBodyReader();
        reader.ReadUInt32();
        string job = reader.ReadObjectPathAsString();
        reader.ReadString();
        return (job, reader.ReadString());
    }

    private static string ReadPath(Message message, object? state) => message.GetBodyReader().ReadObjectPathAsString();

    private static VariantValue ReadVariant(Message message, object? state) => message.GetBodyReader().ReadVariantValue();

    private static string Text(Task<VariantValue> value) => value.Result.Type == VariantValueType.String ? value.Result.GetString() : "";

    private static bool Flag(Task<VariantValue> value) => value.Result.Type == VariantValueType.Bool && value.Result.GetBool();
}
