using Clustd.Core;
using Microsoft.Extensions.Logging;

namespace Clustd;

/// <summary>Warnings and errors of the libraries go the same way as everything else that is said: one line, no stack trace for a stranger's mistake.</summary>
internal sealed class SaidLog(Action<Severity, string> say) : ILoggerProvider
{
    public ILogger CreateLogger(string categoryName) => new Logger(say, categoryName);

    public void Dispose()
    {
    }

    private sealed class Logger(Action<Severity, string> say, string category) : ILogger
    {
        private readonly bool _isHub = category.StartsWith("Clustd.Hub", StringComparison.Ordinal);

        // Peers are told of as events, a host that does not start as an exception: both in three parts.
        private readonly bool _isToldOtherwise =
            category.StartsWith("Clustd.Peers", StringComparison.Ordinal) || category.StartsWith("Microsoft.Extensions.Hosting", StringComparison.Ordinal)
            || category.StartsWith("Microsoft.Hosting", StringComparison.Ordinal);

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => _isHub ? logLevel >= LogLevel.Information : logLevel >= LogLevel.Warning && !_isToldOtherwise;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
            {
                var severity = logLevel switch
                {
                    LogLevel.Warning => Severity.Warning,
                    >= LogLevel.Error => Severity.Error,
                    _ => Severity.Information,
                };
                say(severity, exception is null ? formatter(state, exception) : $"{formatter(state, exception)} ({exception.GetType().Name}: {exception.Message})");
            }
        }
    }
}
