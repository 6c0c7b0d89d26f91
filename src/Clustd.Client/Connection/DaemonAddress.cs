using Clustd.Client.Protocol;

namespace Clustd.Client.Connection;

/// <summary>Where a daemon listens: <c>ws://127.0.0.1:3001</c>, with or without a path, or just <c>127.0.0.1:3001</c>.</summary>
internal sealed record DaemonAddress(string Host, int Port, string Path)
{
    public static DaemonAddress Parse(string text)
    {
        var withScheme = text.Contains("://", StringComparison.Ordinal) ? text : "ws://" + text;
        if (!Uri.TryCreate(withScheme, UriKind.Absolute, out var uri) || uri.Host.Length == 0)
            throw Refused(text, "that is not an address");
        if (uri.Scheme == "wss")
            throw Refused(text, "TLS is not supported for drivers, which belong on the daemon's own machine");
        if (uri.Scheme != "ws")
            throw Refused(text, $"the scheme '{uri.Scheme}' is unknown");
        // Uri resolves escapes once per reading ("%25%3001"): what was reached would depend on how often the address was passed on.
        if (!Uri.TryCreate("ws://host" + uri.PathAndQuery, UriKind.Absolute, out var again) || again.PathAndQuery != uri.PathAndQuery)
            throw Refused(text, "its path has an escape (%) that means something else when it is read twice");
        // "ws://host" and "ws://host:80" look the same to Uri; nobody runs clustd on port 80 and writes it out.
        return new DaemonAddress(HostOf(uri, text).Trim('[', ']'), uri.IsDefaultPort ? DriverProtocol.DefaultPort : uri.Port, uri.AbsolutePath is "/" ? DriverProtocol.Path : uri.PathAndQuery);
    }

    /// <summary>As in the HTTP Host header.</summary>
    public override string ToString() => Host.Contains(':') ? $"[{Host}]:{Port}" : $"{Host}:{Port}";

    private static string HostOf(Uri uri, string text)
    {
        try
        {
            return uri.IdnHost;
        }
        catch (UriFormatException)
        {
            throw Refused(text, "its host cannot be a name");
        }
    }

    private static ArgumentException Refused(string text, string why) =>
        new($"Cannot use '{text}' as the address of a daemon: {why}. Write it like ws://127.0.0.1:3001.");
}
