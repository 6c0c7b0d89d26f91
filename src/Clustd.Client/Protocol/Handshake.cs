using System.Security.Cryptography;
using System.Text;

namespace Clustd.Client.Protocol;

/// <summary>
/// The proofs by which daemon and driver show each other that they know the secret, without sending it. Both nonces are in both proofs, in
/// opposite order and under another label, so that neither can be replayed, or sent back to its maker as the answer.
/// </summary>
public static class Handshake
{
    private const int NonceBytes = 32;
    private const int KeyBytes = 32;

    /// <summary>Base64 of 32 random bytes.</summary>
    public static string NewNonce() => Convert.ToBase64String(RandomNumberGenerator.GetBytes(NonceBytes));

    /// <summary>The key of a secret: HKDF-SHA256, no salt, info "clustd driver v1", 32 bytes.</summary>
    public static byte[] KeyOf(string secret) =>
        HKDF.DeriveKey(HashAlgorithmName.SHA256, Encoding.UTF8.GetBytes(secret), KeyBytes, salt: null, info: "clustd driver v1"u8.ToArray());

    /// <summary>What the daemon proves: base64 of HMAC-SHA256(key, "clustd.v1/daemon\n" clientNonce "\n" daemonNonce).</summary>
    public static string DaemonProof(byte[] key, string clientNonce, string daemonNonce) => Proof(key, $"clustd.v1/daemon\n{clientNonce}\n{daemonNonce}");

    /// <summary>What the driver proves: base64 of HMAC-SHA256(key, "clustd.v1/driver\n" daemonNonce "\n" clientNonce).</summary>
    public static string DriverProof(byte[] key, string clientNonce, string daemonNonce) => Proof(key, $"clustd.v1/driver\n{daemonNonce}\n{clientNonce}");

    /// <summary>Whether both proofs are the same, in a time that does not depend on where they differ.</summary>
    public static bool Matches(string? proof, string expected) =>
        proof is not null && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(proof), Encoding.UTF8.GetBytes(expected));

    /// <summary>Whether a nonce has the form and length that is asked for; a shorter one would weaken the other side's proof.</summary>
    public static bool IsNonce(string? nonce)
    {
        Span<byte> bytes = stackalloc byte[NonceBytes + 2];
        return nonce is { Length: 44 } && Convert.TryFromBase64String(nonce, bytes, out var written) && written == NonceBytes;
    }

    private static string Proof(byte[] key, string text) => Convert.ToBase64String(HMACSHA256.HashData(key, Encoding.UTF8.GetBytes(text)));
}
