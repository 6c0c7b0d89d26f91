namespace Clustd.Core.Running;

/// <summary>The machine's own hold on its session: it may act only while its clock is before Until (rule 13).</summary>
public readonly record struct SessionHold(SessionId Session, Instant Until)
{
    public static readonly SessionHold None = new(SessionId.None, new Instant(long.MinValue));

    public bool IsHeld(Instant now) => Session != SessionId.None && now < Until;
}
