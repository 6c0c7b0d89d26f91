using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Clustd.Hub.Legacy;

/// <summary>
/// How the drivers of 2018 encrypt: a frame is 12 bytes of IV, 16 of tag, then AES-128-GCM ciphertext. Each message has a key of its own, the first 16 bytes of
/// SHA-256(secret ‖ counter), and after the handshake SHA-256(secret ‖ counter ‖ ticket). One counter per direction; the header counts as the driver's
/// first message, so a cipher lasts for one connection. Its weaknesses are in docs/legacy-drivers.md.
/// </summary>
/// <remarks>One thread may seal while another opens. Messages are to be sealed in the order in which they are sent.</remarks>
internal sealed class LegacyCipher
{
    private const int IvBytes = 12;
    private const int TagBytes = 16;
    private const int KeyBytes = 16;

    private readonly byte[] _secret;
    private uint _opened;
    private uint _sealed;

    // Zero: the handshake is not over. 2018 sends no ticket of zero, because its driver would take that for none.
    private volatile uint _ticket;

    /// <param name="used">Messages that each side has sent already; zero on a new connection.</param>
    public LegacyCipher(string secret, uint used = 0)
    {
        _secret = Encoding.UTF8.GetBytes(secret);
        _opened = used;
        _sealed = used;
    }

    /// <summary>The handshake is over: from here on every key contains the ticket.</summary>
    public void Bind(uint ticket) => _ticket = ticket;

    /// <summary>2018 counts in 32 bits and does not say what comes after. Starting again at one would use keys twice, so the connection ends here; the driver makes another.</summary>
    public bool IsUsedUp => _sealed == uint.MaxValue || _opened == uint.MaxValue;

    /// <summary>The next message to the driver. Not once <see cref="IsUsedUp"/>.</summary>
    public byte[] Seal(ReadOnlySpan<byte> message)
    {
        var frame = new byte[IvBytes + TagBytes + message.Length];
        var iv = frame.AsSpan(0, IvBytes);
        RandomNumberGenerator.Fill(iv);
        using var aes = Aes(checked(++_sealed));
        aes.Encrypt(iv, message, frame.AsSpan(IvBytes + TagBytes), frame.AsSpan(IvBytes, TagBytes));
        return frame;
    }

    /// <summary>
    /// The next message of the driver, or null if it is none: cut, changed, out of turn, or made with another secret. It counts all the same, so nothing can follow.
    /// Not once <see cref="IsUsedUp"/>.
    /// </summary>
    public byte[]? Open(ReadOnlySpan<byte> frame)
    {
        using var aes = Aes(checked(++_opened));
        if (frame.Length < IvBytes + TagBytes)
        {
            return null;
        }

        var message = new byte[frame.Length - IvBytes - TagBytes];
        try
        {
            aes.Decrypt(frame[..IvBytes], frame[(IvBytes + TagBytes)..], frame.Slice(IvBytes, TagBytes), message);
            return message;
        }
        catch (AuthenticationTagMismatchException)
        {
            return null;
        }
    }

    private AesGcm Aes(uint counter)
    {
        var ticket = _ticket;
        var input = new byte[_secret.Length + (ticket == 0 ? 4 : 8)];
        _secret.CopyTo(input, 0);
        BinaryPrimitives.WriteUInt32BigEndian(input.AsSpan(_secret.Length), counter);
        if (ticket != 0)
        {
            BinaryPrimitives.WriteUInt32BigEndian(input.AsSpan(_secret.Length + 4), ticket);
        }

        var key = SHA256.HashData(input).AsSpan(0, KeyBytes);
        try
        {
            return new AesGcm(key, TagBytes);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(key);
            CryptographicOperations.ZeroMemory(input);
        }
    }
}
