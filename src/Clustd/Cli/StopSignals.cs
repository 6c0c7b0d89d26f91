using System.Runtime.InteropServices;

namespace Clustd.Cli;

/// <summary>Ctrl-C, SIGTERM and a closed terminal as a cancellation: whoever runs cleans up, and ends by itself.</summary>
internal sealed class StopSignals : IDisposable
{
    private readonly CancellationTokenSource _told;
    private readonly List<PosixSignalRegistration> _registrations;
    private bool _isTold;

    public StopSignals(CancellationToken cancellationToken)
    {
        _told = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        _registrations = [.. ((PosixSignal[])[PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP]).Select(signal => PosixSignalRegistration.Create(signal, context =>
        {
            context.Cancel = true;
            (Interlocked.Exchange(ref _isTold, true) ? Again : Came)?.Invoke(signal);
            _told.Cancel();
        }))];
    }

    public CancellationToken Token => _told.Token;

    /// <summary>Called with the first one, before the cancellation.</summary>
    public Action<PosixSignal>? Came { get; init; }

    /// <summary>Called with every further one; null: they change nothing.</summary>
    public Action<PosixSignal>? Again { get; init; }

    public void Dispose()
    {
        _registrations.ForEach(registration => registration.Dispose());
        _told.Dispose();
    }
}
