using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace Clustd.Drivers.Dns;

/// <summary>Asks one server, over UDP and then TCP, and believes only answers to the question that was asked, signed if there is a key.</summary>
/// <param name="server">Whom.</param>
/// <param name="key">Null: nothing is signed.</param>
/// <param name="tcpOnly">Whether UDP is not even tried.</param>
/// <param name="time">Signatures hold the time of day.</param>
internal sealed class DnsExchange(DnsServer server, TsigKey? key, bool tcpOnly, TimeProvider time)
{
    private const int UdpBytesMax = 512; // without EDNS (RFC 1035); ours and their answers are smaller

    // Repeated with the same bytes: an update that was done already, and whose answer was lost, is not done again because of its prerequisite.
    private static readonly TimeSpan[] UdpWaits = [TimeSpan.FromMilliseconds(500), TimeSpan.FromSeconds(1)];
    private static readonly TimeSpan TcpWait = TimeSpan.FromSeconds(3);

    public DnsServer Server => server;

    public TsigKey? Key => key;

    public static ushort NewId() => (ushort)RandomNumberGenerator.GetInt32(ushort.MaxValue + 1);

    /// <summary>Returns the server's answer, whatever its code. Takes some 5 s at most for each address of a server that is silent.</summary>
    /// <exception cref="DnsException">There is none that can be believed.</exception>
    public async Task<DnsMessage> AskAsync(DnsMessage request, CancellationToken cancellationToken)
    {
        byte[] bytes = DnsWriter.Write(request), mac = [];
        if (key is not null) bytes = Tsig.Sign(bytes, key, Now, out mac);
        string why = "";
        foreach (IPAddress address in await ResolveAsync(cancellationToken).ConfigureAwait(false))
        {
            try
            {
                byte[]? answer = tcpOnly || bytes.Length > UdpBytesMax ? null : await OverUdpAsync(address, request, bytes, cancellationToken).ConfigureAwait(false);
                answer ??= await OverTcpAsync(address, bytes, cancellationToken).ConfigureAwait(false);
                DnsMessage read = Fits(request, answer) ?? throw new DnsException($"{server} does not answer what it was asked: over TCP it sent something else. Is it a name server?", mayPass: true);
                Believe(answer, read, mac);
                return read;
            }
            catch (SocketException e)
            {
                why = e.SocketErrorCode == SocketError.ConnectionRefused ? "nobody listens there" : e.Message;
            }
            catch (IOException e)
            {
                why = e.Message;
            }
        }
        throw new DnsException($"The name server {server} does not answer: {why}. See whether it runs, and whether UDP and TCP reach it.", mayPass: true);
    }

    private long Now => time.GetUtcNow().ToUnixTimeSeconds();

    private async Task<IPAddress[]> ResolveAsync(CancellationToken cancellationToken)
    {
        if (IPAddress.TryParse(server.Host, out var address)) return [address];
        try
        {
            return await System.Net.Dns.GetHostAddressesAsync(server.Host, cancellationToken).ConfigureAwait(false);
        }
        catch (SocketException e)
        {
            throw new DnsException($"The name server {server} cannot be found: {e.Message}. Give its IP address: it needs no other name server to be found.", mayPass: true, e);
        }
    }

    // Null: use TCP.
    private async Task<byte[]?> OverUdpAsync(IPAddress address, DnsMessage request, byte[] bytes, CancellationToken cancellationToken)
    {
        using var socket = new Socket(address.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        await socket.ConnectAsync(address, server.Port, cancellationToken).ConfigureAwait(false); // only from there are answers taken
        byte[] buffer = new byte[ushort.MaxValue];
        foreach (TimeSpan wait in UdpWaits)
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            limit.CancelAfter(wait);
            try
            {
                await socket.SendAsync(bytes, limit.Token).ConfigureAwait(false);
                while (true)
                {
                    int count = await socket.ReceiveAsync(buffer, limit.Token).ConfigureAwait(false);
                    byte[] answer = buffer[..count];
                    // Anybody may send something to the port; what does not fit is not what is waited for.
                    if (Fits(request, answer) is { } read) return read.IsTruncated ? null : answer;
                }
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                // Silent: once more, then over TCP.
            }
            catch (SocketException)
            {
                return null; // nobody listens there on UDP
            }
        }
        return null;
    }

    private async Task<byte[]> OverTcpAsync(IPAddress address, byte[] bytes, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(TcpWait);
        try
        {
            using var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            await socket.ConnectAsync(address, server.Port, limit.Token).ConfigureAwait(false);
            using var stream = new NetworkStream(socket);
            byte[] framed = new byte[2 + bytes.Length];
            BinaryPrimitives.WriteUInt16BigEndian(framed, (ushort)bytes.Length);
            bytes.CopyTo(framed, 2);
            await stream.WriteAsync(framed, limit.Token).ConfigureAwait(false);
            byte[] length = new byte[2];
            await stream.ReadExactlyAsync(length, limit.Token).ConfigureAwait(false);
            byte[] answer = new byte[BinaryPrimitives.ReadUInt16BigEndian(length)];
            await stream.ReadExactlyAsync(answer, limit.Token).ConfigureAwait(false);
            return answer;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new IOException($"it was silent for {TcpWait.TotalSeconds:0} s");
        }
    }

    private static DnsMessage? Fits(DnsMessage request, byte[] answer)
    {
        try
        {
            DnsMessage read = DnsReader.Read(answer);
            // The answer to an update, and a refusal, may come without the question (RFC 2136, 3.8).
            bool mayBeBare = read.Opcode == DnsOpcode.Update || read.Code != DnsCode.NoError;
            bool isOurs = read.IsAnswer && read.Id == request.Id && read.Opcode == request.Opcode && (read.Questions.SequenceEqual(request.Questions) || (read.Questions.Count == 0 && mayBeBare));
            return isOurs ? read : null;
        }
        catch (DnsFormatException)
        {
            return null;
        }
    }

    private void Believe(byte[] bytes, DnsMessage answer, byte[] mac)
    {
        if (key is null) return;
        TsigCheck check = Tsig.Check(bytes, answer, key, mac, Now);
        if (check.Error != DnsCode.NoError) throw new DnsException(DnsRefusals.OfKey(server, key, check, Now));
        // A refusal is believed without: whoever can forge one could as well see to it that nothing is answered. It is a success that must not be forged.
        if (!check.IsGenuine && answer.Code is DnsCode.NoError or DnsCode.NxDomain)
            throw new DnsException($"The answer of {server} is not signed with the key '{key.Name}': anybody may have made it. See whether the server knows the key, and whether something between changes its answers.");
    }
}
