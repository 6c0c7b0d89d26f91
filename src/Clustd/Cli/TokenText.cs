using System.Globalization;
using Clustd.Core;

namespace Clustd.Cli;

/// <summary>
/// A fencing token for people: `6b0241·17` is the 17th grant of the epoch whose second ends in 6b0241 (hex). Of sixteen digits nobody sees that
/// one is the next of another, and that is what people look for. Programs get the whole number, with `-o json`; people with `--wide`.
/// </summary>
internal static class TokenText
{
    // Six hex digits of seconds repeat after 194 days: two epochs of one cluster are never mistaken for each other in practice.
    private const long EpochMask = 0xFFFFFF;
    private const long GrantMask = (1L << Token.GrantBits) - 1;

    /// <param name="isWhole">The number as programs see it.</param>
    public static string Of(long token, bool isWhole = false)
    {
        var epoch = token >> Token.GrantBits;
        return isWhole || epoch == 0
            ? token.ToString(CultureInfo.InvariantCulture)
            : string.Create(CultureInfo.InvariantCulture, $"{epoch & EpochMask:x6}·{token & GrantMask}");
    }

    public static string Of(long? token, string none, bool isWhole = false) => token is { } known ? Of(known, isWhole) : none;
}
