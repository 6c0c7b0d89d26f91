namespace Clustd.Client.Hosting;

/// <summary>Hands the lease to whatever is made in the scope of one worker, so that a constructor can simply ask for it.</summary>
internal sealed class GrantedLease
{
    public Lease? Lease { get; set; }

    public Lease Required => Lease ?? throw new InvalidOperationException(
        "Cannot hand out a lease: there is one only inside of a worker that clustd has started. Ask for it in the constructor of the worker, or of what it uses.");
}
