global using DaemonSide = Clustd.Client.Testing.FakeConnection;

using System.Collections.Immutable;
using Clustd.Client.Protocol;
using Clustd.Client.Testing;

namespace Clustd.Tests.Client;

/// <summary>The fake daemon of the SDK's own testing package, with no verbs and no clock of its own: every answer is the test's.</summary>
internal sealed class ScriptedDaemon : IAsyncDisposable
{
    public const string Secret = "a secret of the tests, long enough";
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(20); // Only reached when a test fails.

    private readonly Lazy<FakeDaemon> fake;
    private RegisterResult terms = new() { Machine = "cm-1", LeaseUs = 1_000_000, RenewEveryUs = 20_000, KillTimeoutUs = 500_000, Services = ["default"] };
    private Func<RenewParams, RenewResult?> renew = renew => new RenewResult { Stamp = renew.Stamp, LeftUs = 900_000 };

    // Begins to listen when it is first used, by then its initializer has run; or at once where somebody waits at its port already.
    public ScriptedDaemon(int port = 0)
    {
        fake = new Lazy<FakeDaemon>(() =>
        {
            var started = FakeDaemon.Start(new FakeDaemonOptions { Secret = OwnSecret, Machine = "cm-1", Port = port, TellsStateAtOnce = false, Patience = Patience });
            (started.Terms, started.OnRenew, started.OnRegister) = (terms, renew, registration => Refuse(registration));
            return started;
        });
        if (port != 0)
            _ = fake.Value;
    }

    public string Url => fake.Value.Url;

    public string OwnSecret { get; init; } = Secret;

    public RegisterResult Terms
    {
        get => terms;
        set
        {
            terms = value;
            if (fake.IsValueCreated)
                fake.Value.Terms = value;
        }
    }

    /// <summary>What a renewal is answered; null: not at all.</summary>
    public Func<RenewParams, RenewResult?> Renew
    {
        get => renew;
        set
        {
            renew = value;
            if (fake.IsValueCreated)
                fake.Value.OnRenew = value;
        }
    }

    public Func<RegisterParams, RpcError?> Refuse { get; set; } = _ => null;

    public ImmutableList<string> Methods => [.. fake.Value.Calls.Select(call => call.Method)];

    public ImmutableList<StoppedParams> Stopped => [.. fake.Value.Stopped];

    public ImmutableList<FailedParams> Failed => [.. fake.Value.Failures];

    /// <summary>The next driver that registers.</summary>
    public Task<DaemonSide> NextDriverAsync() => fake.Value.NextConnectionAsync();

    public ValueTask DisposeAsync() => fake.IsValueCreated ? fake.Value.DisposeAsync() : ValueTask.CompletedTask;
}
