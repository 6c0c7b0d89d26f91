using System.Text;

namespace Clustd.Drivers.Dns;

/// <summary>An absolute domain name. Compared without regard to the case of ASCII letters (RFC 4343).</summary>
internal sealed class DnsName : IEquatable<DnsName>
{
    public const int WireBytesMax = 255, LabelBytesMax = 63;

    private readonly byte[] _wire;  // labels with their lengths, ended by a zero
    private readonly byte[] _lower; // the same in lower case: what is compared and signed

    /// <param name="wire">Uncompressed, within the limits, and ended by the root's zero: the reader and <see cref="Parse"/> see to that.</param>
    public DnsName(byte[] wire)
    {
        _wire = wire;
        _lower = [.. wire.Select(each => each is >= (byte)'A' and <= (byte)'Z' ? (byte)(each + 32) : each)]; // a length is at most 63, below 'A'
    }

    public ReadOnlySpan<byte> Wire => _wire;

    /// <summary>Canonical form, as a signature covers it (RFC 8945, 4.3.3).</summary>
    public ReadOnlySpan<byte> Lower => _lower;

    /// <summary>Reads "www.example.com", with or without the dot at the end. Null: it is no host-like name, and why.</summary>
    public static DnsName? Parse(string text, out string whyNot)
    {
        var wire = new List<byte>();
        string[] labels = text.EndsWith('.') ? text[..^1].Split('.') : text.Split('.');
        whyNot = "";
        foreach (string label in labels)
        {
            if (label.Length == 0) whyNot = "it has an empty part";
            else if (label.Length > LabelBytesMax) whyNot = $"'{label[..20]}...' has {label.Length} characters, and a part has at most {LabelBytesMax}";
            else if (label.FirstOrDefault(c => !char.IsAsciiLetterOrDigit(c) && c is not ('-' or '_')) is var odd && odd != default) whyNot = char.IsAscii(odd) ? $"it has '{(char.IsControl(odd) ? '?' : odd)}' in it" : "it has characters beyond ASCII: write it in its xn-- form";
            if (whyNot.Length > 0) return null;
            wire.Add((byte)label.Length);
            wire.AddRange(Encoding.ASCII.GetBytes(label));
        }
        wire.Add(0);
        if (wire.Count <= WireBytesMax) return new DnsName([.. wire]);
        whyNot = $"it has {text.Length} characters, and a name has at most {WireBytesMax - 2}";
        return null;
    }

    /// <summary>Null: with that label it would be too long.</summary>
    public DnsName? Below(string label)
    {
        byte[] wire = [(byte)label.Length, .. Encoding.ASCII.GetBytes(label), .. _wire];
        return wire.Length <= WireBytesMax ? new DnsName(wire) : null;
    }

    /// <summary>Whether it is <paramref name="zone"/> or below it.</summary>
    public bool IsWithin(DnsName zone)
    {
        for (int at = 0; at < _lower.Length; at += _lower[at] + 1)
        {
            if (_lower.AsSpan(at).SequenceEqual(zone._lower)) return true;
            if (_lower[at] == 0) break;
        }
        return false;
    }

    public bool Equals(DnsName? other) => other is not null && _lower.AsSpan().SequenceEqual(other._lower);

    public override bool Equals(object? obj) => Equals(obj as DnsName);

    public override int GetHashCode()
    {
        var hash = new HashCode();
        hash.AddBytes(_lower);
        return hash.ToHashCode();
    }

    /// <summary>Without the dot at the end; what is not printable, or would be a dot, as \DDD.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        for (int at = 0; _wire[at] != 0; at += _wire[at] + 1)
        {
            if (at > 0) text.Append('.');
            foreach (byte each in _wire.AsSpan(at + 1, _wire[at]))
            {
                if (each is > (byte)' ' and < 127 and not ((byte)'.' or (byte)'\\')) text.Append((char)each);
                else text.Append('\\').Append(each.ToString("D3", System.Globalization.CultureInfo.InvariantCulture));
            }
        }
        return text.Length == 0 ? "." : text.ToString();
    }
}
