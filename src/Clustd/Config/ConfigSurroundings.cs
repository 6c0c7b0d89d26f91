using System.Collections;
using System.Net;
using System.Net.NetworkInformation;
using System.Runtime.InteropServices;

namespace Clustd.Config;

/// <summary>What a configuration depends on beside its file. Tests give their own.</summary>
public sealed partial record ConfigSurroundings
{
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>();
    public required string HostName { get; init; }

    /// <summary>Addresses of this machine's interfaces.</summary>
    public IReadOnlyList<IPAddress> LocalAddresses { get; init; } = [];

    /// <summary>Home folder of the user, or empty.</summary>
    public string HomeDirectory { get; init; } = "";

    public required string WorkingDirectory { get; init; }

    /// <summary>Where a configuration is looked for last.</summary>
    public string SystemConfigPath { get; init; } = "/etc/clustd/config.yml";

    /// <summary>Can the folder be written, or be made? Asking leaves no trace.</summary>
    public required Func<string, bool> CanKeepData { get; init; }

    public static ConfigSurroundings OfThisProcess() => new()
    {
        Environment = System.Environment.GetEnvironmentVariables().Cast<DictionaryEntry>().ToDictionary(e => (string)e.Key, e => (string?)e.Value ?? ""),
        HostName = Dns.GetHostName(),
        LocalAddresses = InterfaceAddresses(),
        HomeDirectory = System.Environment.GetEnvironmentVariable("HOME") ?? "",
        WorkingDirectory = Directory.GetCurrentDirectory(),
        CanKeepData = IsWritable,
    };

    internal string? Variable(string name) => Environment.TryGetValue(name, out var value) && value.Length > 0 ? value : null;

    private static IReadOnlyList<IPAddress> InterfaceAddresses()
    {
        try
        {
            return [.. NetworkInterface.GetAllNetworkInterfaces().SelectMany(i => i.GetIPProperties().UnicastAddresses).Select(a => a.Address)];
        }
        catch (NetworkInformationException)
        {
            return []; // Without the list, remote_address must be given; the loader then says so.
        }
    }

    private static bool IsWritable(string directory)
    {
        for (var folder = directory; !string.IsNullOrEmpty(folder); folder = System.IO.Path.GetDirectoryName(folder))
        {
            if (Directory.Exists(folder)) return Access(folder, WriteOk | SearchOk) == 0;
            if (File.Exists(folder)) return false;
        }
        return false;
    }

    private const int WriteOk = 2;
    private const int SearchOk = 1;

    [LibraryImport("libc", EntryPoint = "access", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Access(string path, int mode);
}
