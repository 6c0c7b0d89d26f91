using System.Text.Json.Nodes;

namespace Clustd.EndToEnd.Harness;

/// <summary>
/// The program as the last release would be: it can do feature level 1 only. No option of clustd does that; it is a copy of the build beside these tests, whose
/// runtime configuration says so (see BinaryLevel). The copied files are those by which the runtime finds its configuration; all else is linked.
/// </summary>
public static class FormerVersion
{
    private static readonly string[] Copied = ["clustd", "clustd.dll", "clustd.deps.json"];

    /// <summary>Puts it into a folder and returns the path of the program.</summary>
    public static string InstallInto(string folder)
    {
        Directory.CreateDirectory(folder);
        foreach (var entry in Directory.EnumerateFileSystemEntries(AppContext.BaseDirectory))
        {
            var name = Path.GetFileName(entry);
            if (Copied.Contains(name))
                File.Copy(entry, Path.Combine(folder, name));
            else if (name != "clustd.runtimeconfig.json")
                File.CreateSymbolicLink(Path.Combine(folder, name), entry);
        }

        var configuration = JsonNode.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "clustd.runtimeconfig.json")))!;
        var options = configuration["runtimeOptions"]!.AsObject();
        var properties = options["configProperties"]?.AsObject() ?? [];
        options["configProperties"] = properties.DeepClone();
        options["configProperties"]!["Clustd.FeatureLevel"] = "1";
        File.WriteAllText(Path.Combine(folder, "clustd.runtimeconfig.json"), configuration.ToJsonString());
        return Path.Combine(folder, "clustd");
    }
}
