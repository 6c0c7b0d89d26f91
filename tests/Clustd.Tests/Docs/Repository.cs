using System.Text.RegularExpressions;
using Clustd.Tests.Config;

namespace Clustd.Tests.Docs;

/// <summary>The files of this repository, for tests that read them. Paths are relative to its root, with slashes.</summary>
internal static partial class Repository
{
    private static readonly string Root = ConfigTestWorld.RepositoryFolder();

    /// <summary>What people read: Markdown at the root and in docs/.</summary>
    public static IReadOnlyList<string> Documents { get; } =
        [.. Directory.EnumerateFiles(Root, "*.md").Concat(Directory.EnumerateFiles(Path.Combine(Root, "docs"), "*.md", SearchOption.AllDirectories)).Select(Relative).Order(StringComparer.Ordinal)];

    /// <summary>What we wrote under a folder in C#; nothing that a build made.</summary>
    public static IReadOnlyList<string> Sources(string folder) => Files(folder, "*.cs");

    /// <summary>What we wrote under a folder, with such names; nothing that a build made, and no packages of others.</summary>
    public static IReadOnlyList<string> Files(string folder, string names) =>
        [.. Directory.EnumerateFiles(Path.Combine(Root, folder), names, SearchOption.AllDirectories).Select(Relative).Where(path => !Built().IsMatch(path)).Order(StringComparer.Ordinal)];

    public static string Text(string path) => File.ReadAllText(Path.Combine(Root, path));

    public static IReadOnlyList<string> Lines(string path) => File.ReadAllLines(Path.Combine(Root, path));

    public static bool Has(string path) => Path.Exists(Path.Combine(Root, path));

    /// <summary>Where a link in a document leads to.</summary>
    public static string Resolve(string document, string link) => Relative(Path.GetFullPath(Path.Combine(Root, Path.GetDirectoryName(document)!, link)));

    /// <summary>The fenced blocks of a language in a document.</summary>
    public static IReadOnlyList<string> Blocks(string document, string language) =>
        [.. Fence().Matches(Text(document)).Where(match => match.Groups["language"].Value == language).Select(match => match.Groups["text"].Value)];

    private static string Relative(string path) => Path.GetRelativePath(Root, path).Replace('\\', '/');

    [GeneratedRegex("/(bin|obj|node_modules)/")]
    private static partial Regex Built();

    [GeneratedRegex(@"^(?<indent> *)```(?<language>\w*)\n(?<text>.*?)^\k<indent>```$", RegexOptions.Singleline | RegexOptions.Multiline)]
    private static partial Regex Fence();
}
