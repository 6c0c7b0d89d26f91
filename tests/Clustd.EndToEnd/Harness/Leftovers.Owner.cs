namespace Clustd.EndToEnd.Harness;

internal static partial class Leftovers
{
    /// <summary>Of directories and namespaces; the pid of the test process follows.</summary>
    public const string Prefix = "clustd-e2e-";

    private const string Program = "Clustd.EndToEnd";
}
