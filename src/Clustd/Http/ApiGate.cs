using System.Net;
using Microsoft.AspNetCore.Http;

namespace Clustd.Http;

/// <summary>Who may come in, before anybody looks at what is asked.</summary>
internal static class ApiGate
{
    /// <summary>Plain text is for programs on this machine; null if the transport will do.</summary>
    public static ApiAnswer? WhyNotTransport(HttpContext context) =>
        context.Request.IsHttps || OnePort.IsThisMachine(context.Connection.RemoteIpAddress, context.Connection.LocalIpAddress)
            ? null
            : ApiAnswer.Problem(403, "Refused: plain text from another machine.", "No secret may cross the network in the clear.", "Use https:// or wss://.");

    /// <summary>
    /// A web page of somebody else's must not use a browser on this machine as its hand. Null if the request comes from no page, or from
    /// one of ours.
    /// </summary>
    public static ApiAnswer? WhyNotOrigin(HttpContext context)
    {
        var origin = context.Request.Headers.Origin.ToString();
        var isOurs = origin.Length == 0 || (Uri.TryCreate(origin, UriKind.Absolute, out var uri) && string.Equals(uri.Authority, Authority(context), StringComparison.OrdinalIgnoreCase));
        return isOurs && context.Request.Headers["Sec-Fetch-Site"].ToString() is not ("cross-site" or "same-site")
            ? null
            : ApiAnswer.Problem(403, "Refused: the request comes from a page of another site.", "Only pages of this daemon may speak with it.", "Open the daemon's own address, or use a program that is no browser.");
    }

    /// <summary>
    /// On plain text the name in Host must be one of this machine: else a page whose name was made to lead here (DNS rebinding) would count as ours.
    /// Under TLS the certificate already tells. Null if it will do.
    /// </summary>
    public static ApiAnswer? WhyNotHost(HttpContext context, IReadOnlyCollection<string> ownNames)
    {
        var host = context.Request.Host.Host.Trim('[', ']');
        return context.Request.IsHttps || IPAddress.TryParse(host, out _)
            || string.Equals(host, "localhost", StringComparison.OrdinalIgnoreCase) || ownNames.Contains(host, StringComparer.OrdinalIgnoreCase)
            ? null
            : ApiAnswer.Problem(403, "Refused: the request is for another host.", "Host is neither an address nor a name of this machine.", "Use http://127.0.0.1 or http://localhost with the daemon's port.");
    }

    // As in Uri.Authority: without the scheme's own port.
    private static string Authority(HttpContext context) =>
        Uri.TryCreate($"{context.Request.Scheme}://{context.Request.Host}", UriKind.Absolute, out var uri) ? uri.Authority : "";
}
