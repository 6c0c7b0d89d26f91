using System.Globalization;
using Microsoft.Extensions.Configuration;

namespace Clustd.Client.Hosting;

/// <summary>Reads the section <c>Clustd</c>. By hand: the general binder needs reflection, or one more package, for nine keys.</summary>
internal static class ClustdConfiguration
{
    public static void Read(IConfigurationSection section, ClustdOptions options)
    {
        foreach (var entry in section.GetChildren())
        {
            if (entry.Value is not { } value)
                continue;
            switch (entry.Key.ToLowerInvariant()) // Keys of a configuration are not case-sensitive.
            {
                case "host": options.Host = value; break;
                case "secret": options.Secret = value; break;
                case "secretfile": options.SecretFile = value; break;
                case "id": options.Id = value; break;
                case "name": options.Name = value; break;
                case "order":
                    options.Order = int.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var order) ? order : throw Wrong(entry, "a whole number", "0");
                    break;
                case "stop":
                    options.Stop = Enum.TryParse<StopGuarantee>(value, ignoreCase: true, out var stop) && Enum.IsDefined(stop)
                        ? stop : throw Wrong(entry, $"one of {string.Join(", ", Enum.GetNames<StopGuarantee>())}", nameof(StopGuarantee.Certain));
                    break;
                case "stoptimeout": options.StopTimeout = Time(entry, value); break;
                case "killtimeout": options.KillTimeout = Time(entry, value); break;
                default:
                    throw new InvalidOperationException(
                        $"Cannot read the configuration: there is no '{entry.Path}'. Known are Host, Secret, SecretFile, Id, Name, Order, Stop, StopTimeout and KillTimeout: correct the spelling.");
            }
        }
    }

    private static TimeSpan Time(IConfigurationSection entry, string value) =>
        TimeSpan.TryParse(value, CultureInfo.InvariantCulture, out var time) && time >= TimeSpan.Zero ? time : throw Wrong(entry, "a duration", "00:00:10");

    private static InvalidOperationException Wrong(IConfigurationSection entry, string what, string example) =>
        new($"Cannot read the configuration: '{entry.Path}' is '{entry.Value}', and not {what}. Write it like {example}.");
}
