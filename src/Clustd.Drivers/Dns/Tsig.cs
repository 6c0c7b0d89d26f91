using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Clustd.Drivers.Dns;

/// <summary>A secret that this machine and the server share (RFC 8945).</summary>
/// <param name="Name">The key's name, as in the server's configuration.</param>
/// <param name="Algorithm">"hmac-sha256".</param>
/// <param name="Secret">Never printed.</param>
internal sealed record TsigKey(DnsName Name, string Algorithm, byte[] Secret)
{
    public static readonly IReadOnlyList<string> Algorithms = ["hmac-sha256", "hmac-sha384", "hmac-sha512"];

    public DnsName AlgorithmName { get; } = DnsName.Parse(Algorithm, out _)!;

    public byte[] Mac(ReadOnlySpan<byte> covered) => Algorithm switch
    {
        "hmac-sha384" => HMACSHA384.HashData(Secret, covered),
        "hmac-sha512" => HMACSHA512.HashData(Secret, covered),
        _ => HMACSHA256.HashData(Secret, covered),
    };

    private bool PrintMembers(StringBuilder text)
    {
        text.Append($"Name = {Name}, Algorithm = {Algorithm}");
        return true;
    }
}

/// <summary>What the signature of an answer is worth.</summary>
/// <param name="IsGenuine">Whoever made the answer has the key, and answered this question.</param>
/// <param name="Error">What the server found wrong with our signature.</param>
/// <param name="ServerTime">With <see cref="DnsCode.BadTime"/>: the server's clock, seconds of Unix time.</param>
internal readonly record struct TsigCheck(bool IsGenuine, DnsCode Error = DnsCode.NoError, long? ServerTime = null);

/// <summary>Signs requests and checks the signatures of their answers, one message each.</summary>
internal static class Tsig
{
    public const int FudgeSeconds = 300; // recommended by RFC 8945, 10

    private const int TimeBytes = 6;

    /// <summary>Signs <paramref name="message"/>; <paramref name="mac"/> is what the answer's signature covers, too.</summary>
    /// <param name="now">Seconds of Unix time.</param>
    public static byte[] Sign(ReadOnlySpan<byte> message, TsigKey key, long now, out byte[] mac)
    {
        var covered = new ArrayBufferWriter<byte>();
        covered.Write(message);
        Variables(covered, key, now, FudgeSeconds, DnsCode.NoError, []);
        mac = key.Mac(covered.WrittenSpan);

        var data = new ArrayBufferWriter<byte>();
        data.Write(key.AlgorithmName.Lower);
        DnsWriter.U48(data, now);
        DnsWriter.U16(data, FudgeSeconds);
        DnsWriter.U16(data, (ushort)mac.Length);
        data.Write(mac);
        data.Write(message[..2]); // the id: a forwarder may change the one in the header
        DnsWriter.U16(data, (ushort)DnsCode.NoError);
        DnsWriter.U16(data, 0);

        var signed = new ArrayBufferWriter<byte>();
        signed.Write(message);
        DnsWriter.Record(signed, new DnsRecord(key.Name, DnsType.Tsig, DnsClass.Any, 0, data.WrittenSpan.ToArray()));
        byte[] bytes = signed.WrittenSpan.ToArray();
        AddToAdditional(bytes, 1);
        return bytes;
    }

    /// <summary>Checks an answer.</summary>
    /// <param name="bytes">The answer as it came.</param>
    /// <param name="answer">The same, read.</param>
    /// <param name="requestMac">What <see cref="Sign"/> gave for the request.</param>
    /// <param name="now">Seconds of Unix time.</param>
    public static TsigCheck Check(ReadOnlySpan<byte> bytes, DnsMessage answer, TsigKey key, ReadOnlySpan<byte> requestMac, long now)
    {
        if (answer.Additional is not [.., { Type: DnsType.Tsig, Class: DnsClass.Any } record] || !TryRead(record.Data, out var signature)) return new TsigCheck(false);
        long? serverTime = signature.Error == DnsCode.BadTime && signature.Other.Length == TimeBytes ? Time(signature.Other) : null;
        var refused = new TsigCheck(false, signature.Error, serverTime);
        if (!record.Name.Equals(key.Name) || !signature.Algorithm.Equals(key.AlgorithmName)) return refused;

        var covered = new ArrayBufferWriter<byte>();
        DnsWriter.U16(covered, (ushort)requestMac.Length);
        covered.Write(requestMac);
        byte[] unsigned = bytes[..answer.LastRecordAt].ToArray();
        BinaryPrimitives.WriteUInt16BigEndian(unsigned, signature.OriginalId);
        AddToAdditional(unsigned, -1);
        covered.Write(unsigned);
        Variables(covered, key, signature.Time, signature.Fudge, signature.Error, signature.Other);
        if (!CryptographicOperations.FixedTimeEquals(key.Mac(covered.WrittenSpan), signature.Mac)) return refused;
        // With BADTIME the server repeats our time, so that its answer can be believed.
        return Math.Abs(now - signature.Time) <= signature.Fudge ? new TsigCheck(true, signature.Error, serverTime) : refused;
    }

    private sealed record Signature(DnsName Algorithm, long Time, ushort Fudge, byte[] Mac, ushort OriginalId, DnsCode Error, byte[] Other);

    private static bool TryRead(ReadOnlySpan<byte> data, out Signature signature)
    {
        signature = null!;
        DnsName algorithm;
        int at;
        try
        {
            algorithm = DnsReader.ReadName(data, out at);
        }
        catch (DnsFormatException)
        {
            return false;
        }

        const int fixedBytes = TimeBytes + 2 + 2;
        if (data.Length < at + fixedBytes) return false;
        long time = Time(data[at..]);
        ushort fudge = U16(data, at + TimeBytes);
        int macBytes = U16(data, at + TimeBytes + 2), macAt = at + fixedBytes, rest = macAt + macBytes;
        if (data.Length < rest + 6) return false;
        int otherBytes = U16(data, rest + 4);
        if (data.Length != rest + 6 + otherBytes) return false;
        signature = new Signature(algorithm, time, fudge, data.Slice(macAt, macBytes).ToArray(), U16(data, rest), (DnsCode)U16(data, rest + 2), data.Slice(rest + 6, otherBytes).ToArray());
        return true;
    }

    // RFC 8945, 4.3.3.
    private static void Variables(ArrayBufferWriter<byte> covered, TsigKey key, long time, ushort fudge, DnsCode error, ReadOnlySpan<byte> other)
    {
        covered.Write(key.Name.Lower);
        DnsWriter.U16(covered, (ushort)DnsClass.Any);
        DnsWriter.U32(covered, 0);
        covered.Write(key.AlgorithmName.Lower);
        DnsWriter.U48(covered, time);
        DnsWriter.U16(covered, fudge);
        DnsWriter.U16(covered, (ushort)error);
        DnsWriter.U16(covered, (ushort)other.Length);
        covered.Write(other);
    }

    private static void AddToAdditional(Span<byte> message, int count)
    {
        var place = message.Slice(10, 2);
        BinaryPrimitives.WriteUInt16BigEndian(place, (ushort)(BinaryPrimitives.ReadUInt16BigEndian(place) + count));
    }

    private static ushort U16(ReadOnlySpan<byte> data, int at) => BinaryPrimitives.ReadUInt16BigEndian(data[at..]);

    private static long Time(ReadOnlySpan<byte> data) => ((long)BinaryPrimitives.ReadUInt16BigEndian(data) << 32) | BinaryPrimitives.ReadUInt32BigEndian(data[2..]);
}
