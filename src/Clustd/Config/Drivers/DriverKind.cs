using Clustd.Drivers;

namespace Clustd.Config.Drivers;

/// <summary>A kind of built-in driver as a file may hold it: its word, its keys, and how they are read.</summary>
/// <param name="word">"shell".</param>
/// <param name="example">The least that it takes, as in YAML: "{ run: ./web }".</param>
internal abstract class DriverKind(string word, string example)
{
    public string Word => word;

    public string Example => example;

    /// <summary>Of the key table: "drivers[].shell".</summary>
    public string Section => SectionOf(word);

    public DriverCommonKeys Common { get; } = new(SectionOf(word), word);

    /// <summary>All that it may hold, in the order of the documentation.</summary>
    public IEnumerable<ConfigKey> Keys => [Common.Service, .. OwnKeys, Common.Name, Common.Order, Common.Required, Common.StopTimeout, Common.KillTimeout];

    /// <summary>Beside those that all kinds have.</summary>
    public abstract IReadOnlyList<ConfigKey> OwnKeys { get; }

    /// <summary>Reads its own keys; what all kinds have is added by the caller. Says what does not fit together.</summary>
    public abstract DriverOptions Read(DriverReading reading);

    public static string SectionOf(string word) => $"drivers[].{word}";
}

/// <summary>The kinds that a file may hold, by word. To add one: a class in this folder, a line here, and one in <see cref="BuiltInDrivers"/>.</summary>
internal static class DriverKinds
{
    public static readonly ShellKind Shell = new();

    public static readonly VipKind Vip = new();

    public static readonly FenceKind Fence = new();

    public static readonly WebhookKind Webhook = new();

    public static readonly OcfKind Ocf = new();

    public static readonly DnsKind Dns = new();

    public static readonly CloudflareKind Cloudflare = new();

    public static readonly SystemdKind Systemd = new();

    public static readonly DockerKind Docker = new();

    public static readonly IReadOnlyList<DriverKind> All = [Shell, Vip, Fence, Webhook, Ocf, Dns, Cloudflare, Systemd, Docker];

    public static IEnumerable<string> Words => All.Select(kind => kind.Word);

    public static DriverKind? Find(string word) => All.FirstOrDefault(kind => kind.Word == word);
}
