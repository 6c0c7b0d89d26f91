using System.Collections.Concurrent;
using Clustd.Client;
using Clustd.Client.Hosting;
using Clustd.Tests.Client;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Clustd.Tests.Hosting;

/// <summary>What workers, and the log, have to say; and when those that wait may go on.</summary>
internal sealed class Journal : ILoggerProvider, ILogger
{
    private readonly ConcurrentQueue<string> lines = new();
    private readonly ConcurrentQueue<string> log = new();

    public TaskCompletionSource Go { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public string How { get; set; } = "";

    public IReadOnlyList<string> Lines => [.. lines];

    public void Write(string line) => lines.Enqueue(line);

    public Task HasAsync(string text, bool contains = false) =>
        Eventually.HoldsAsync(() => lines.Concat(log).Any(line => contains ? line.Contains(text, StringComparison.Ordinal) : line == text), () => string.Join('\n', lines.Concat(log)));

    public ILogger CreateLogger(string categoryName) => this;

    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => log.Enqueue("clustd: " + formatter(state, exception));

    public void Dispose()
    {
    }
}

internal sealed class Worker : ClustdMasterService
{
    private readonly Journal journal;
    private long token;

    public Worker(Journal journal)
    {
        this.journal = journal;
        journal.Write("Worker made");
    }

    protected override async Task ExecuteAsync(Lease lease, CancellationToken cancellationToken)
    {
        token = lease.Token;
        journal.Write($"Worker runs under {token}");
        await Task.Delay(Timeout.InfiniteTimeSpan, cancellationToken);
    }

    public override void Dispose()
    {
        journal.Write($"Worker disposed, under {token}");
        base.Dispose();
    }
}

internal sealed class Second : ClustdMasterService
{
    private readonly Journal journal;

    public Second(Journal journal)
    {
        this.journal = journal;
        journal.Write("Second made");
    }

    protected override async Task ExecuteAsync(Lease lease, CancellationToken cancellationToken)
    {
        journal.Write("Second runs");
        await Task.Delay(Timeout.InfiniteTimeSpan, cancellationToken);
    }

    public override void Dispose()
    {
        journal.Write("Second disposed");
        base.Dispose();
    }
}

internal sealed class Ordinary(Journal journal, Lease lease) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        journal.Write($"Ordinary runs under {lease.Token}");
        await Task.Delay(Timeout.InfiniteTimeSpan, stoppingToken);
    }
}

internal sealed class SlowToStop(Journal journal) : ClustdMasterService
{
    protected override async Task ExecuteAsync(Lease lease, CancellationToken cancellationToken)
    {
        journal.Write("SlowToStop runs");
        await Task.Delay(Timeout.InfiniteTimeSpan, cancellationToken).ContinueWith(_ => { }, TaskScheduler.Default);
        journal.Write("SlowToStop was asked to stop");
        await journal.Go.Task;
        journal.Write("SlowToStop returned");
    }
}

/// <summary>Sees that it is to stop, and goes on, blocking a thread from its first line.</summary>
internal sealed class Deaf(Journal journal) : ClustdMasterService
{
    protected override Task ExecuteAsync(Lease lease, CancellationToken cancellationToken)
    {
        journal.Write("Deaf runs");
        cancellationToken.WaitHandle.WaitOne();
        journal.Write("Deaf was asked to stop");
        journal.Go.Task.Wait(CancellationToken.None);
        return Task.CompletedTask;
    }
}

internal sealed class Failing(Journal journal) : ClustdMasterService
{
    protected override async Task ExecuteAsync(Lease lease, CancellationToken cancellationToken)
    {
        await journal.Go.Task;
        if (journal.How != "returns")
            throw new IOException("the mailbox is full");
    }
}

internal sealed class Unmakeable : ClustdMasterService
{
    public Unmakeable() => throw new InvalidOperationException("no such printer");

    protected override Task ExecuteAsync(Lease lease, CancellationToken cancellationToken) => Task.CompletedTask;
}
