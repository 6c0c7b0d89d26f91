namespace Clustd.Client.Hosting;

/// <summary>
/// How the program reaches its clustd daemon. Read from the section <c>Clustd</c> of the configuration, then changed by what is given to
/// <c>services.AddClustd(options => ...)</c>. Keys of the section are the names of the properties; durations are written as <c>00:00:10</c>.
/// </summary>
public sealed class ClustdOptions
{
    /// <summary>Name of the section of the configuration.</summary>
    public const string SectionName = "Clustd";

    /// <summary>Address of the daemon on this machine.</summary>
    public string Host { get; set; } = "ws://127.0.0.1:3001";

    /// <summary>The cluster's secret. It is proven, never sent. Either this or <see cref="SecretFile"/>.</summary>
    public string? Secret { get; set; }

    /// <summary>Path of a file that holds the secret, for example a credential of systemd; white space around it does not count. Read when the host starts.</summary>
    public string? SecretFile { get; set; }

    /// <summary>Shown in <c>clustd status</c> and in logs. Null: program and eight hex digits.</summary>
    public string? Id { get; set; }

    /// <summary>Name of the driver that the program is to the daemon; one instance per machine and name is active. Null: the program's name, or <see cref="Id"/> if that is given.</summary>
    public string? Name { get; set; }

    /// <summary>Drivers of a service start in ascending order, and stop in descending order.</summary>
    public int Order { get; set; }

    /// <summary>
    /// What the program promises about its stops. By default it ends itself (SIGKILL) when a worker has not stopped by the deadline: lease end plus
    /// <c>kill_timeout</c>. A program that must not be ended, because it does more than being master, says <see cref="StopGuarantee.BestEffort"/>.
    /// </summary>
    public StopGuarantee Stop { get; set; } = StopGuarantee.Certain;

    /// <summary>How long a planned stop of all workers of a service may take; null: what the service allows.</summary>
    public TimeSpan? StopTimeout { get; set; }

    /// <summary>How long the workers need to stop when the lease is over; null: what the service allows. The daemon refuses a program that needs more.</summary>
    public TimeSpan? KillTimeout { get; set; }

    /// <summary>Changes the driver that is made of these options, for what has no option here: a clock of tests, for example.</summary>
    public Func<DriverClient, DriverClient>? ConfigureDriver { get; set; }
}
