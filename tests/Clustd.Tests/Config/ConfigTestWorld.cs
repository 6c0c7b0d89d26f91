using System.Net;
using Clustd.Config;

namespace Clustd.Tests.Config;

/// <summary>Surroundings that no real machine leaks into, and short words for the tests.</summary>
internal static class ConfigTestWorld
{
    public const string GoodSecret = "0123456789abcdefghijKLMNOPQRSTUV";

    public static ConfigSurroundings Machine(string name = "node-1", string address = "10.0.0.1", params (string Name, string Value)[] environment) => new()
    {
        HostName = name,
        LocalAddresses = [IPAddress.Loopback, IPAddress.IPv6Loopback, IPAddress.Parse(address)],
        Environment = environment.ToDictionary(e => e.Name, e => e.Value),
        HomeDirectory = "/home/someone",
        WorkingDirectory = "/nowhere",
        SystemConfigPath = "/nowhere/etc/config.yml",
        CanKeepData = _ => true,
    };

    public static ConfigResult Read(string text, ConfigSurroundings? surroundings = null) => ConfigLoader.Parse(text, "config.yml", surroundings ?? Machine());

    /// <summary>The configuration; fails with the problems if there are errors.</summary>
    public static ClustdConfig Valid(string text, ConfigSurroundings? surroundings = null) => Valid(Read(text, surroundings));

    public static ClustdConfig Valid(ConfigResult result) =>
        result.Config ?? throw new InvalidOperationException(string.Join("\n", result.Errors));

    /// <summary>A valid file with one more line in `cluster`, and whatever follows.</summary>
    public static string File(string cluster = "", string rest = "") =>
        $"cluster:\n  secret: {GoodSecret}\n{(cluster.Length > 0 ? $"  {cluster}\n" : "")}{rest}";

    public static string RepositoryFolder()
    {
        var folder = AppContext.BaseDirectory;
        while (folder is not null && !System.IO.File.Exists(Path.Combine(folder, "clustd.slnx"))) folder = Path.GetDirectoryName(folder);
        return folder ?? throw new InvalidOperationException("the tests run outside of the repository");
    }
}
