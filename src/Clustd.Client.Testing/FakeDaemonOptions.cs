namespace Clustd.Client.Testing;

/// <summary>How a <see cref="FakeDaemon"/> is set up. Everything has a default.</summary>
public sealed record FakeDaemonOptions
{
    /// <summary>The secret that the daemon proves and asks for.</summary>
    public string Secret { get; init; } = "the secret of a fake daemon";

    /// <summary>Id of the machine that the daemon pretends to run on.</summary>
    public string Machine { get; init; } = "fake-1";

    /// <summary>TCP port on loopback; 0: any that is free.</summary>
    public int Port { get; init; }

    /// <summary>The services that a driver which names none is told of; the first is the one that the verbs mean by default.</summary>
    public IReadOnlyList<string> Services { get; init; } = ["default"];

    /// <summary>Length of the machine's lease, told at registration. A driver gives up a connection on which nothing is answered for half of it.</summary>
    public TimeSpan Lease { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How often drivers are to renew.</summary>
    public TimeSpan RenewEvery { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>How long after the end of the lease everything must be gone.</summary>
    public TimeSpan KillTimeout { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>Whether a driver that registers is told its present state at once, <c>false</c> included, as a real daemon does.</summary>
    public bool TellsStateAtOnce { get; init; } = true;

    /// <summary>How long a verb waits, in real time, for the driver to do what is expected of it. Only a test that fails waits that long.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(30);
}
