namespace Clustd.Client.Running;

/// <summary>What a service's triggers need from around them: user code, the lease, the clock. The driver's connection is one, the tests have another.</summary>
internal interface IServiceHost
{
    /// <summary>The driver's clock, microseconds.</summary>
    long NowUs { get; }

    /// <summary>Calls user code and returns when it is done.</summary>
    void Run(Trigger trigger, CancellationToken cancellationToken);

    /// <summary>Whether the lease is in effect.</summary>
    bool HoldsLease(long nowUs);

    /// <summary>End of the lease on that clock; <see cref="long.MinValue"/> while there is none. Takes no lock.</summary>
    long LeaseEndsAtUs { get; }

    /// <summary>A start waits for a lease: renew now.</summary>
    void LeaseWanted();

    /// <summary>A kill deadline has come closer.</summary>
    void DeadlinesChanged();

    void Log(DriverLogLevel level, string text);
}
