using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace Clustd.Http;

/// <summary>
/// The token that opens the API: derived from the cluster's secret, so that a program on a machine that knows the secret needs no other.
/// It is sent, the secret never is; and from the token the secret cannot be had, unless it can be guessed.
/// </summary>
public static class ApiToken
{
    private const int TokenBytes = 32;
    private const string Scheme = "Bearer ";

    /// <summary>HKDF-SHA256 of the secret, no salt, info "clustd api v1", 32 bytes, as base64url without padding.</summary>
    public static string Derive(string secret) =>
        Base64Url.EncodeToString(HKDF.DeriveKey(HashAlgorithmName.SHA256, Encoding.UTF8.GetBytes(secret), TokenBytes, salt: null, info: "clustd api v1"u8.ToArray()));

    /// <summary>Whether an Authorization header carries one of the tokens, in a time that does not depend on where they differ.</summary>
    internal static bool IsGiven(string? authorization, IReadOnlyList<string> tokens)
    {
        if (authorization is null || !authorization.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase))
        {
            return false;
        }

        var given = Encoding.UTF8.GetBytes(authorization[Scheme.Length..].Trim());
        var isRight = false;
        foreach (var token in tokens)
        {
            isRight |= CryptographicOperations.FixedTimeEquals(given, Encoding.UTF8.GetBytes(token));
        }

        return isRight;
    }
}
