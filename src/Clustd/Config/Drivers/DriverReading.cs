namespace Clustd.Config.Drivers;

/// <summary>One driver of a file while it is read.</summary>
/// <param name="Section">Its keys.</param>
/// <param name="Problems">Takes what is wrong.</param>
/// <param name="Folder">Of the file: relative paths of secrets count from there.</param>
internal sealed record DriverReading(ConfigSection Section, ProblemList Problems, string Folder, ConfigSurroundings Surroundings)
{
    /// <summary>A secret or token from where the file says it is. Null: not given, or it could not be read, and why stands among the errors.</summary>
    public string? Secret(TextKey key) =>
        Section.Text(key) is { } written ? SecretReader.Read(written, Section.Named(key), Section.PlaceOf(key), Folder, Surroundings, Problems) : null;
}
