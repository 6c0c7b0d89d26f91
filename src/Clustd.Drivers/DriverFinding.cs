namespace Clustd.Drivers;

public enum FindingLevel
{
    /// <summary>As it should be.</summary>
    Good,

    /// <summary>It will work, but somebody should know.</summary>
    Doubtful,

    /// <summary>The driver would fail.</summary>
    Bad,
}

/// <summary>One thing that <c>clustd driver test</c> has found out.</summary>
/// <param name="Subject">What was looked at, in one to four words: "interface eth0".</param>
/// <param name="Text">What was found; what is not good has three parts: what, why, what to do.</param>
public sealed record DriverFinding(FindingLevel Level, string Subject, string Text);

/// <summary>
/// A driver that can find out, without changing anything anywhere and without a daemon, whether a start would succeed: programs and interfaces that are there, rights, addresses, tokens that are taken.
/// </summary>
public interface ITestableDriver
{
    /// <summary>Yields what it finds as it finds it. Never throws for what it looks at: that is a finding.</summary>
    IAsyncEnumerable<DriverFinding> TestAsync(CancellationToken cancellationToken);
}
