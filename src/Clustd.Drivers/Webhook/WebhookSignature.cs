using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Clustd.Drivers.Webhook;

/// <summary>
/// Standard Webhooks 1.0 (standardwebhooks.com): HMAC-SHA256 over <c>ID.TIMESTAMP.BODY</c>, in base64 behind <c>v1,</c>. With several secrets there are several
/// signatures, so that a receiver's can be changed while requests arrive.
/// </summary>
public static class WebhookSignature
{
    public const string IdHeader = "webhook-id", TimestampHeader = "webhook-timestamp", SignatureHeader = "webhook-signature";

    /// <summary>The standard asks for 192 bits.</summary>
    public const int KeyBytesMin = 24;

    private const string Prefix = "whsec_";

    /// <param name="id">The same for all attempts at one event.</param>
    /// <param name="timestamp">Of this attempt, Unix seconds: receivers refuse what is old.</param>
    public static string Header(IEnumerable<string> secrets, string id, long timestamp, ReadOnlySpan<byte> body)
    {
        byte[] signed = [.. Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{id}.{timestamp}.")), .. body];
        return string.Join(' ', secrets.Select(secret => "v1," + Convert.ToBase64String(HMACSHA256.HashData(KeyOf(secret)!, signed))));
    }

    /// <summary>The key that a secret stands for: <c>whsec_</c> and base64, as in the standard, else its own bytes. Null: what follows <c>whsec_</c> is no base64.</summary>
    public static byte[]? KeyOf(string secret)
    {
        if (!secret.StartsWith(Prefix, StringComparison.Ordinal)) return Encoding.UTF8.GetBytes(secret);
        var key = new byte[secret.Length];
        return Convert.TryFromBase64String(secret[Prefix.Length..], key, out int count) ? key[..count] : null;
    }
}
