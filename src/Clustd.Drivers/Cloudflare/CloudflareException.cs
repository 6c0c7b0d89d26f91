namespace Clustd.Drivers.Cloudflare;

/// <summary>The API does not do, or does not say, what is needed; the message has three parts.</summary>
/// <param name="mayPass">Whether the same may succeed a moment later.</param>
/// <param name="retryAfter">When, as the API says.</param>
internal sealed class CloudflareException(string message, bool mayPass = false, TimeSpan? retryAfter = null, Exception? inner = null) : Exception(message, inner)
{
    public bool MayPass => mayPass;

    public TimeSpan? RetryAfter => retryAfter;
}
