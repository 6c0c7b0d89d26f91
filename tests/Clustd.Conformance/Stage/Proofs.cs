using System.Security.Cryptography;
using System.Text;

namespace Clustd.Conformance.Stage;

/// <summary>The proofs of docs/protocol.md, section 1, written from the document and not from an SDK.</summary>
internal static class Proofs
{
    public static string Daemon(string secret, string clientNonce, string daemonNonce) => Mac(secret, $"clustd.v1/daemon\n{clientNonce}\n{daemonNonce}");

    public static string Driver(string secret, string clientNonce, string daemonNonce) => Mac(secret, $"clustd.v1/driver\n{daemonNonce}\n{clientNonce}");

    public static string NewNonce() => Convert.ToBase64String(RandomNumberGenerator.GetBytes(32));

    private static string Mac(string secret, string text)
    {
        var key = HKDF.DeriveKey(HashAlgorithmName.SHA256, Encoding.UTF8.GetBytes(secret), 32, salt: null, info: "clustd driver v1"u8.ToArray());
        return Convert.ToBase64String(HMACSHA256.HashData(key, Encoding.UTF8.GetBytes(text)));
    }
}
