namespace Clustd.Drivers.Dns;

/// <summary>A name server does not do, or does not say, what is needed; the message has three parts.</summary>
/// <param name="mayPass">Whether the same may succeed a moment later.</param>
internal sealed class DnsException(string message, bool mayPass = false, Exception? inner = null) : Exception(message, inner)
{
    public bool MayPass => mayPass;
}
