namespace Clustd.Client.Hosting;

/// <summary>How the program stands with clustd: ask for it in a constructor, a health check or an endpoint. A singleton; may be read from any thread.</summary>
public sealed class ClustdState
{
    internal ClustdDriver? Driver { get; set; }

    /// <summary>Why the daemon refuses the program, as a sentence with what to do; null while it does not.</summary>
    public string? Problem { get; internal set; }

    /// <summary>Whether the daemon is connected. While it is not, what runs goes on until its lease is over.</summary>
    public bool IsConnected => Driver?.IsConnected ?? false;

    /// <summary>Id of the machine; null until first connected.</summary>
    public string? Machine => Driver?.Machine;

    /// <summary>Whether this program may act as master now. For a load balancer, or to decide what to show; what must not be done twice asks the lease itself.</summary>
    /// <param name="service">Null: the only service that was started here.</param>
    public bool IsMaster(string? service = null) => LeaseOf(service)?.IsValid ?? false;

    /// <summary>What was granted for a service that was started here and has not stopped since; null if there is nothing of the kind.</summary>
    /// <param name="service">Null: the only service that was started here.</param>
    /// <exception cref="InvalidOperationException"><paramref name="service"/> is null and several were started.</exception>
    public Lease? LeaseOf(string? service = null) => Driver?.LeaseOf(service);

    /// <summary>One sentence for people: connected or not, and what this program is master of.</summary>
    public override string ToString() =>
        Problem ?? (IsConnected ? $"Connected to clustd on {Machine}." : Machine is null ? "Not yet connected to clustd." : $"The connection to clustd on {Machine} is lost; it is tried again.");
}
