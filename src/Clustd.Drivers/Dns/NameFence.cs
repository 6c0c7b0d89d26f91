using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;

namespace Clustd.Drivers.Dns;

/// <summary>
/// What stands in the TXT record beside a name: who pointed it, and under which token. Every update names, as a prerequisite, exactly the TXT records that were read before, and puts another in their place whose text has never
/// been there (<see cref="Mark"/>). So each update is done at most once, only upon what was read, and one that was held up on its way is refused by the server: an old master cannot overwrite a newer one, however late its packet comes.
/// </summary>
/// <param name="Mark">Random, new with every write.</param>
/// <param name="IsRemoved">The name was taken away by its master's stop. The fence stays: it holds the token.</param>
internal sealed partial record NameFence(string Service, long Token, string Machine, string Mark, bool IsRemoved)
{
    /// <summary>Put before the name: a CNAME may have no other record beside it.</summary>
    public const string Label = "_clustd";

    private const int MarkBytes = 8;

    public static NameFence New(string service, long token, string machine, bool isRemoved = false) =>
        new(service, token, machine, Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(MarkBytes)), isRemoved);

    /// <summary>Null: it is not of clustd.</summary>
    public static NameFence? Parse(string text) =>
        Shape().Match(text) is { Success: true } found && long.TryParse(found.Groups["token"].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out long token)
            ? new NameFence(found.Groups["service"].Value, token, found.Groups["machine"].Value, found.Groups["mark"].Value, found.Groups["removed"].Success)
            : null;

    /// <summary>Null: a master under <paramref name="token"/> may write over it.</summary>
    public string? WhyNot(string service, long token)
    {
        if (Service != service) return $"it belongs to service '{Service}', and not to '{service}': a name follows one service";
        return Token > token ? $"{Machine} has pointed it already under token {Token}, which is newer than our {token}" : null;
    }

    /// <summary>Data of the TXT record.</summary>
    public byte[] ToData() => [(byte)ToString().Length, .. Encoding.ASCII.GetBytes(ToString())];

    /// <summary>The text of a TXT record: its strings one after the other. Null: it is damaged.</summary>
    public static string? TextOf(ReadOnlySpan<byte> data)
    {
        var text = new StringBuilder();
        while (data.Length > 0)
        {
            int length = data[0];
            if (length > data.Length - 1) return null;
            text.Append(Encoding.Latin1.GetString(data.Slice(1, length)));
            data = data[(length + 1)..];
        }
        return text.ToString();
    }

    public override string ToString() => $"clustd service={Service} token={Token} machine={Machine} mark={Mark}{(IsRemoved ? " removed" : "")}";

    // Ids have at most 64 characters, so that the whole is one string of a TXT record (255 bytes).
    [GeneratedRegex(@"\Aclustd service=(?<service>[A-Za-z0-9._-]{1,64}) token=(?<token>[0-9]{1,16}) machine=(?<machine>[A-Za-z0-9._-]{1,64}) mark=(?<mark>[0-9a-f]{16})(?<removed> removed)?\z", RegexOptions.NonBacktracking)]
    private static partial Regex Shape();
}
