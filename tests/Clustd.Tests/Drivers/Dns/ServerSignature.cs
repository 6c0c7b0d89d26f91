using System.Buffers.Binary;
using System.Security.Cryptography;
using Clustd.Drivers.Dns;

namespace Clustd.Tests.Drivers.Dns;

/// <summary>A server's side of TSIG, written for itself after RFC 8945, so that it does not share the driver's mistakes.</summary>
internal static class ServerSignature
{
    public static byte[] Sign(byte[] answer, TsigKey key, byte[] requestMac, long now, ushort error = 0, byte[]? other = null)
    {
        other ??= [];
        byte[] time = [(byte)(now >> 40), (byte)(now >> 32), (byte)(now >> 24), (byte)(now >> 16), (byte)(now >> 8), (byte)now];
        byte[] variables = [.. key.Name.Wire, 0, 255, 0, 0, 0, 0, .. key.AlgorithmName.Wire, .. time, .. U16(300), .. U16(error), .. U16((ushort)other.Length), .. other];
        byte[] covered = [.. U16((ushort)requestMac.Length), .. requestMac, .. answer, .. variables];
        byte[] mac = key.Algorithm == "hmac-sha512" ? HMACSHA512.HashData(key.Secret, covered) : HMACSHA256.HashData(key.Secret, covered);
        byte[] data = [.. key.AlgorithmName.Wire, .. time, .. U16(300), .. U16((ushort)mac.Length), .. mac, answer[0], answer[1], .. U16(error), .. U16((ushort)other.Length), .. other];
        byte[] signed = [.. answer, .. key.Name.Wire, 0, 250, 0, 255, 0, 0, 0, 0, .. U16((ushort)data.Length), .. data];
        BinaryPrimitives.WriteUInt16BigEndian(signed.AsSpan(10), (ushort)(BinaryPrimitives.ReadUInt16BigEndian(answer.AsSpan(10)) + 1));
        return signed;
    }

    private static byte[] U16(ushort value) => [(byte)(value >> 8), (byte)value];
}
