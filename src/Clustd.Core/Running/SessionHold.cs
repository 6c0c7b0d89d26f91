namespace Clustd.Core.Running;

/// <summary>The machine's own hold on its session: it may act only while its clock is before Until (rule 13).</summary>
public readonly record struct SessionHold(SessionId Session, Instant Until)
{
    public static readonly SessionHold None = new(SessionId.None, new Instant(long.MinValue));

    /// <summary>Until when it holds without its restart grace; null: it has none, so that is Until.</summary>
    public Instant? UntilWithoutGrace { get; init; }

    /// <summary>Until when the ordinary lease alone lasts: all that drivers get which a grace does not name.</summary>
    public Instant OrdinaryUntil => UntilWithoutGrace ?? Until;

    public bool IsHeld(Instant now) => Session != SessionId.None && now < Until;
}
