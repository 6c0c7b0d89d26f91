using System.Net;
using System.Text;

namespace Clustd.Drivers.Webhook;

/// <summary>The webhook driver: tells an HTTP server when this machine becomes the master, and when it no longer is. What the server does with it is its own affair: best effort.</summary>
public sealed record WebhookDriverOptions : DriverOptions
{
    public override string Kind => "webhook";

    public override bool StopsForCertain => false;

    /// <summary>Told of a start. Null: nobody is. May hold a password or a token of the provider, so it is never shown beyond its host.</summary>
    public Uri? StartUrl { get; init; }

    /// <summary>Told of a stop. Null: nobody is.</summary>
    public Uri? StopUrl { get; init; }

    public string Method { get; init; } = "POST";

    /// <summary>Sent along. Values may be secret.</summary>
    public IReadOnlyDictionary<string, string> Headers { get; init; } = new SortedDictionary<string, string>(StringComparer.Ordinal);

    /// <summary>Signs every request, see <see cref="WebhookSignature"/>. Null: they are not signed.</summary>
    public string? Secret { get; init; }

    /// <summary>Signs beside <see cref="Secret"/> while that is being changed.</summary>
    public string? OldSecret { get; init; }

    /// <summary>Statuses that mean "done", in their order; an item below 10 is a class: 2 is 200 to 299.</summary>
    public IReadOnlyList<int> Expect { get; init; } = [2];

    /// <summary>For one attempt; there are more of them within the limit of the trigger.</summary>
    public TimeSpan AttemptTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>PEM file of the authorities that may have signed the server's certificate; null: the system's.</summary>
    public string? CertificateAuthorities { get; init; }

    /// <summary>What the receiver is told as the cluster's name.</summary>
    public string? Cluster { get; init; }

    public override IEnumerable<string> Unprinted =>
    [
        $"start {StartUrl?.OriginalString}", $"stop {StopUrl?.OriginalString}", $"secret {Secret}", $"old {OldSecret}",
        .. Headers.Select(pair => $"{pair.Key}: {pair.Value}"), .. Expect.Select(status => $"expect {status}"),
    ];

    public bool IsExpected(HttpStatusCode status) => Expect.Any(expected => expected < 10 ? (int)status / 100 == expected : (int)status == expected);

    /// <summary>An address as it may be shown: path, query and user may be secret.</summary>
    public static string Shown(Uri url) => url.GetComponents(UriComponents.SchemeAndServer, UriFormat.UriEscaped);

    // A record prints its members; no secret may reach a log that way.
    protected override bool PrintMembers(StringBuilder builder)
    {
        base.PrintMembers(builder);
        builder.Append($", StartUrl = {(StartUrl is null ? "" : Shown(StartUrl))}, StopUrl = {(StopUrl is null ? "" : Shown(StopUrl))}, Method = {Method}");
        builder.Append($", AttemptTimeout = {AttemptTimeout}, CertificateAuthorities = {CertificateAuthorities}, Cluster = {Cluster}");
        return true;
    }
}
