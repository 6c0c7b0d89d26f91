using System.CommandLine;
using System.Runtime.InteropServices;
using Clustd.Config;
using Clustd.Core;
using Clustd.Drivers.Processes;
using Clustd.Http;
using Clustd.Store;
using Clustd.Systemd;
using Clustd.Watchdogs;

namespace Clustd.Cli;

/// <summary>`clustd run`: the daemon of this machine in the foreground, and the driver process beside it.</summary>
internal static class RunCommand
{
    // By then a cluster has formed, drivers have registered, and a first master was chosen.
    internal static readonly TimeSpan AtRestAfter = TimeSpan.FromSeconds(5);

    public static Command Make(Terminal terminal)
    {
        var noDrivers = new Option<bool>("--no-drivers") { Description = "Leave the drivers to a `clustd drivers` of its own" };
        var command = new Command("run", "Run this machine's daemon, and the drivers that its file lists") { noDrivers };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var result = ConfigLoader.Load(parsed.GetValue(CommonOptions.Config), ConfigSurroundings.OfThisProcess());
            var config = CommonOptions.LoadConfig(result);
            using var said = new SaidQueue(new SaidLine(terminal).Say);
            foreach (var warning in result.Warnings) said.Say(Severity.Warning, warning.ToString());
            using var manager = NotifySocket.OfThisProcess();
            return await RunAsync(config, config.Drivers.Count > 0 && !parsed.GetValue(noDrivers), Saying(said, manager), said.Dispose, manager, cancellationToken);
        });
        return command;
    }

    /// <summary>What a person reads in the journal, `systemctl status` shows as the last word.</summary>
    private static Action<Severity, string> Saying(SaidQueue said, NotifySocket? manager) => (severity, sentence) =>
    {
        said.Say(severity, sentence);
        if (severity > Severity.Debug) manager?.Status(sentence);
    };

    private static async Task<int> RunAsync(
        ClustdConfig config, bool withDrivers, Action<Severity, string> say, Action finishSaying, NotifySocket? manager, CancellationToken cancellationToken)
    {
        say(Severity.Information, $"clustd {ProductVersion.Text}: machine {config.Cluster.Id} at {config.Server.RemoteAddress}, data in {config.Server.DataDirectory}.");
        foreach (var sentence in FailoverBound.Sentences(config)) say(Severity.Information, sentence);

        var drivers = withDrivers ? new DriverChild(config, say) : null;
        using var signals = new GoodbyeSignals(say, () =>
        {
            drivers?.Kill();
            finishSaying();
        });
        try
        {
            var options = new DaemonOptions { Say = say };
            if (manager is not null) options = options with { TurnCompleted = manager.TurnCompleted, TurnEvery = manager.FeedEvery, ManagerWatchdog = () => manager.Watchdog };
            await using var daemon = await Daemon.StartAsync(config, options, cancellationToken);
            manager?.Ready(); // It listens and decides. Whether others are there is another question: nobody's start should wait for them.
            using var leaving = new CancellationTokenSource();
            _ = StartupPages.ReleaseAsync(AtRestAfter, leaving.Token);
            var keeping = drivers?.KeepAsync(leaving.Token) ?? Task.CompletedTask;

            var isAsked = await Task.WhenAny(signals.First, daemon.Completion) == signals.First;
            if (isAsked)
            {
                say(Severity.Information, $"Goodbye ({await signals.First}): what runs here stops, and others take over. Once more ends at once.");
                daemon.RequestGoodbye($"it was told to stop ({await signals.First})."); // It ends up in sentences that people read.
            }

            manager?.Stopping();
            var exitCode = await daemon.Completion;
            await leaving.CancelAsync();
            await keeping;
            if (daemon.IsRestarting)
            {
                say(Severity.Information, "The daemon ends for its restart. What runs here goes on, and the next one takes it up: start it soon.");
                return ExitCodes.StartAgain;
            }

            if (drivers is not null && (isAsked || exitCode == ExitCodes.Done))
            {
                // Whoever failed is started again soon, and takes up the drivers that are still there. Whoever said goodbye leaves nothing behind.
                await drivers.EndAsync();
            }

            return exitCode;
        }
        catch (Exception e) when (e is StoreException or PortUnavailableException or WatchdogUnavailableException or IOException or UnauthorizedAccessException)
        {
            throw new CommandException(ExitCodes.Refused, e.Message, e);
        }
    }

    /// <summary>The first SIGTERM, SIGINT or SIGHUP (a closed terminal) says goodbye; the second one ends the process at once.</summary>
    private sealed class GoodbyeSignals : IDisposable
    {
        private readonly TaskCompletionSource<string> _first = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly List<PosixSignalRegistration> _registrations = [];

        public GoodbyeSignals(Action<Severity, string> say, Action kill)
        {
            foreach (var signal in (PosixSignal[])[PosixSignal.SIGTERM, PosixSignal.SIGINT, PosixSignal.SIGHUP])
            {
                _registrations.Add(PosixSignalRegistration.Create(signal, context =>
                {
                    context.Cancel = true;
                    if (_first.TrySetResult(signal.ToString())) return;
                    say(Severity.Warning, "Ends at once. The others take over when this machine's lease is over.");
                    kill();
                    LinuxCalls._exit(ExitCodes.Refused); // Not Environment.Exit: that waits for what may be hanging.
                }));
            }
        }

        public Task<string> First => _first.Task;

        public void Dispose() => _registrations.ForEach(registration => registration.Dispose());
    }
}
