using System.Net;

namespace Clustd.Drivers.Cloudflare;

/// <summary>What the codes of the API mean, in words.</summary>
internal static class CloudflareRefusals
{
    private const int TextMax = 200;

    /// <param name="what">What was asked for, as "Cannot ...": "change www.example.com".</param>
    /// <param name="errors">As the API gave them; may be empty.</param>
    public static CloudflareException Of(string what, HttpStatusCode status, IReadOnlyList<CloudflareError> errors, TimeSpan? retryAfter)
    {
        string says = errors.Count > 0 ? string.Join("; ", errors.Select(Show)) : $"HTTP {(int)status}";
        if (status == HttpStatusCode.TooManyRequests) return new($"Cannot {what}: Cloudflare has had too many requests of this account of late ({says}). Run less of whatever else uses the account.", mayPass: true, retryAfter);
        if ((int)status >= 500) return new($"Cannot {what}: Cloudflare's API is disturbed ({says}). See www.cloudflarestatus.com.", mayPass: true, retryAfter);
        // Somebody has been faster: what is there now decides.
        bool mayPass = errors.Any(error => error.Code is 81057 or 81058 or 81044);
        return new($"Cannot {what}: {Why(errors)} ({says}). {WhatToDo(errors)}", mayPass);
    }

    /// <summary>Codes with what is behind them, the outermost first.</summary>
    public static IEnumerable<CloudflareError> Flat(IEnumerable<CloudflareError?>? errors, int depth = 0) =>
        depth > 3 ? [] : (errors ?? []).OfType<CloudflareError>().SelectMany(error => Flat(error.Chain, depth + 1).Prepend(error));

    private static string Why(IReadOnlyList<CloudflareError> errors) => errors.Select(error => error.Code switch
    {
        10000 or 10001 => "Cloudflare does not accept the token or key for this",
        9109 => "the token is not valid, or has no right to this",
        9103 or 9106 or 9107 => "Cloudflare does not know this email with this key",
        6003 or 6111 or 6103 => "the token or key has not the form of one",
        7000 or 7003 or 1001 => "there is no such zone",
        9005 or 9007 or 9021 => "Cloudflare does not take the content",
        81053 or 81054 or 81055 => "a record of another kind is in the way",
        81057 or 81058 => "the record is there already: somebody has made it at the same moment",
        81044 => "the record is not there any more",
        1038 => "Cloudflare does not change names of such free domains by its API",
        _ => null,
    }).FirstOrDefault(each => each is not null) ?? "Cloudflare refuses it";

    private static string WhatToDo(IReadOnlyList<CloudflareError> errors) => errors.Select(error => error.Code switch
    {
        10000 or 10001 or 9109 => "Make a token with Zone / DNS / Edit and Zone / Zone / Read for this zone, and correct `token`.",
        9103 or 9106 or 9107 or 6003 or 6111 or 6103 => "Correct `token`, or `email` and `api_key`: copy it again.",
        7000 or 7003 or 1001 => "Correct `zone_id`: it stands on the zone's overview page.",
        9005 or 9007 or 9021 => "Correct `addresses`, `cname` or `ttl`.",
        81053 or 81054 or 81055 => "Remove it in Cloudflare's dashboard.",
        _ => null,
    }).FirstOrDefault(each => each is not null) ?? "See Cloudflare's dashboard.";

    // Strangers' text: bounded, and on one line.
    private static string Show(CloudflareError error)
    {
        string text = string.Concat((error.Message ?? "").Take(TextMax).Select(c => char.IsControl(c) ? ' ' : c)).Trim();
        return text.Length == 0 ? $"{error.Code}" : $"{error.Code}: {text.TrimEnd('.')}";
    }
}
