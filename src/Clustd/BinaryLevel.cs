using Clustd.Core.Cluster;

namespace Clustd;

/// <summary>The feature level of this program: <see cref="FeatureLevels.Own"/>, whatever any file, variable or option says.</summary>
internal static class BinaryLevel
{
    // A runtime property of the build, which no user sets: it stands in clustd.runtimeconfig.json of a build that is not published, and is compiled into one
    // that is. The end-to-end tests of a rolling upgrade play the last release with it: a copy of the build, with another file beside it.
    private const string Property = "Clustd.FeatureLevel";

    public static int Value { get; } = AppContext.GetData(Property) is string text && int.TryParse(text, out var level) && level < FeatureLevels.Own ? level : FeatureLevels.Own;
}
