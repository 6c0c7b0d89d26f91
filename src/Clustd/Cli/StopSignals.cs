using System.Runtime.InteropServices;

namespace Clustd.Cli;

/// <summary>Ctrl-C, SIGTERM and a closed terminal as a cancellation: whoever runs cleans up, and ends by itself.</summary>
internal sealed class StopSignals : IDisposable
{
    private readonly CancellationTokenSource _told;
    private readonly List<PosixSignalRegistration> _registrations;

    public StopSignals(CancellationToken cancellationToken)
    {
        _told = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        _registrations = [.. ((PosixSignal[])[PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP]).Select(signal => PosixSignalRegistration.Create(signal, context =>
        {
            context.Cancel = true;
            if (First is not null) Again?.Invoke(signal);
            First ??= signal;
            _told.Cancel();
        }))];
    }

    public CancellationToken Token => _told.Token;

    /// <summary>The one that came first; null: none has.</summary>
    public PosixSignal? First { get; private set; }

    /// <summary>Called with every further one; null: they change nothing.</summary>
    public Action<PosixSignal>? Again { get; init; }

    public void Dispose()
    {
        _registrations.ForEach(registration => registration.Dispose());
        _told.Dispose();
    }
}
