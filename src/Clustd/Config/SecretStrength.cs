using System.Buffers.Text;
using System.Security.Cryptography;

namespace Clustd.Config;

/// <summary>
/// How hard a secret is to guess. It matters more than a password's strength: whoever completes one handshake can try secrets offline, as fast as they can compute.
/// </summary>
public static class SecretStrength
{
    public const int BitsMin = 128;

    /// <summary>length × log2(sum of the sizes of the character classes present): a-z 26, A-Z 26, 0-9 10, everything else 33.</summary>
    public static double Bits(string secret)
    {
        var (lower, upper, digit, other) = (0, 0, 0, 0);
        foreach (var rune in secret.EnumerateRunes())
        {
            if (!rune.IsAscii) other++;
            else if (char.IsAsciiLetterLower((char)rune.Value)) lower++;
            else if (char.IsAsciiLetterUpper((char)rune.Value)) upper++;
            else if (char.IsAsciiDigit((char)rune.Value)) digit++;
            else other++;
        }
        var alphabet = (lower > 0 ? 26 : 0) + (upper > 0 ? 26 : 0) + (digit > 0 ? 10 : 0) + (other > 0 ? 33 : 0);
        return alphabet == 0 ? 0 : (lower + upper + digit + other) * Math.Log2(alphabet);
    }
}

/// <summary>What `clustd secret` prints.</summary>
public static class SecretGenerator
{
    /// <summary>32 random bytes (256 bits) as 43 characters of A-Z a-z 0-9 - _ : safe in YAML, URLs and shells.</summary>
    public static string New()
    {
        while (true)
        {
            var secret = Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(32));
            // A leading '-' would look like an option on a command line.
            if (secret[0] != '-') return secret;
        }
    }
}
