using System.Globalization;
using System.Text.RegularExpressions;

namespace Clustd.Drivers.Cloudflare;

/// <summary>
/// What stands in a record's comment: who pointed it, and under which token. The API knows no conditions, so it is read before a write and after it, and that is all: best effort. See docs/drivers/cloudflare.md.
/// </summary>
/// <param name="Machine">May be cut off: a comment has <see cref="CharsMax"/> characters.</param>
internal sealed partial record RecordOwner(string Service, long Token, string Machine)
{
    public const int CharsMax = 100; // of Cloudflare's free plan

    /// <summary>Null: the comment is not of clustd.</summary>
    public static RecordOwner? Parse(string? comment) =>
        Shape().Match(comment ?? "") is { Success: true } found && long.TryParse(found.Groups["token"].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out long token)
            ? new RecordOwner(found.Groups["service"].Value, token, found.Groups["machine"].Value)
            : null;

    /// <summary>The newest of several records; null: none is clustd's.</summary>
    public static RecordOwner? Of(IEnumerable<CloudflareRecord> records) => records.Select(record => Parse(record.Comment)).OfType<RecordOwner>().MaxBy(owner => owner.Token);

    /// <summary>Null: a master under <paramref name="token"/> may write over it.</summary>
    public string? WhyNot(string service, long token)
    {
        if (Service != service) return $"its comment says that it belongs to service '{Service}', and not to '{service}': a name follows one service";
        return Token > token ? $"{Machine} has pointed it already under token {Token}, which is newer than our {token}" : null;
    }

    public override string ToString()
    {
        string text = $"clustd: {Service}, token {Token}, {Machine}";
        return text.Length <= CharsMax ? text : text[..CharsMax];
    }

    [GeneratedRegex(@"\Aclustd: (?<service>[A-Za-z0-9._-]{1,64}), token (?<token>[0-9]{1,16}), (?<machine>[A-Za-z0-9._-]{0,64})\z", RegexOptions.NonBacktracking)]
    private static partial Regex Shape();
}
