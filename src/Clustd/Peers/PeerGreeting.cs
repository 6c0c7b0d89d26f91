using System.Globalization;
using System.Net.WebSockets;

namespace Clustd.Peers;

/// <summary>
/// What two machines say before their connection carries anything. Both say hello. The one with the larger id checks, and
/// says ready; the one with the smaller id decides, and says accept. Either may refuse instead, with the reason.
/// </summary>
/// <remarks>
/// One decider per pair makes the choice between two simultaneous connections the same on both sides, whoever dialled; and as
/// nothing is sent before the acceptance, closing the other connection loses nothing.
/// </remarks>
internal sealed class PeerGreeting(PeerNetworkOptions options, PeerTable table, TimeProvider time)
{
    private static readonly TimeSpan RefusalTimeout = TimeSpan.FromSeconds(1);

    /// <summary>Greets whoever is at the other end of <paramref name="socket"/>. Throws what sockets throw.</summary>
    /// <param name="machine">The id that its certificate proves.</param>
    /// <param name="where">Its address as far as we know it, for messages.</param>
    public async Task<PeerMeeting> GreetAsync(PeerSocket socket, string machine, string where, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(options.GreetingTimeout);
        return await GreetWithinAsync(socket, machine, where, limit.Token);
    }

    private async Task<PeerMeeting> GreetWithinAsync(PeerSocket socket, string machine, string where, CancellationToken cancellationToken)
    {
        await socket.SendAsync(
            new PeerControl(PeerControl.Hello)
            {
                Machine = options.Self,
                Incarnation = options.Incarnation.ToString("x16", CultureInfo.InvariantCulture),
                Address = options.SelfAddress,
            },
            cancellationToken);

        var hello = await ExpectAsync(socket, PeerControl.Hello, cancellationToken);
        if (!ulong.TryParse(hello.Incarnation, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var incarnation))
        {
            throw new PeerProtocolException("it said hello without an incarnation");
        }

        var address = hello.Address ?? where;
        if (machine == options.Self && incarnation == options.Incarnation)
        {
            return new PeerMeeting.Self();
        }

        if (machine == options.Self)
        {
            return await ConflictAsync(
                socket,
                where,
                $"Refused the connection between {options.SelfAddress} and {address}: both machines have the id '{machine}'. Give each machine a cluster.id of its own.",
                cancellationToken);
        }

        if (hello.Machine != machine)
        {
            return await ConflictAsync(
                socket,
                machine,
                $"Refused the machine at {address}: it calls itself '{hello.Machine}', but its certificate is for '{machine}'. Restart clustd there.",
                cancellationToken);
        }

        if (await table.FindRivalAsync(machine, incarnation) is { } rival)
        {
            return await ConflictAsync(socket, machine, DescribeRival(rival, address), cancellationToken);
        }

        var link = new PeerLink(socket, machine, incarnation, address, options, time, table);
        var weDecide = string.CompareOrdinal(options.Self, machine) < 0;
        if (weDecide)
        {
            if (await ExpectAsync(socket, PeerControl.Ready, cancellationToken) is { Type: PeerControl.Refuse } refusal)
            {
                return Understand(refusal, where);
            }

            link.SendFirst(new PeerControl(PeerControl.Accept)); // before the claim: from then on the daemon may send
        }
        else
        {
            await socket.SendAsync(new PeerControl(PeerControl.Ready), cancellationToken);
            if (await ExpectAsync(socket, PeerControl.Accept, cancellationToken) is { Type: PeerControl.Refuse } refusal)
            {
                return Understand(refusal, where);
            }
        }

        switch (await table.ClaimAsync(link, weDecide))
        {
            case PeerClaim.Taken:
                return new PeerMeeting.Linked(link);
            case PeerClaim.Duplicate:
                await RefuseAsync(socket, PeerControl.Duplicate, "there is a connection between us already", cancellationToken);
                return new PeerMeeting.Duplicate();
            default:
                return await ConflictAsync(socket, machine, DescribeRival(table.Find(machine), address), cancellationToken);
        }
    }

    /// <summary>The next control message: of the wanted type, or (after hello) a refusal.</summary>
    private static async Task<PeerControl> ExpectAsync(PeerSocket socket, string type, CancellationToken cancellationToken)
    {
        var frame = await socket.ReceiveAsync(cancellationToken);
        if (frame.Type != WebSocketMessageType.Text)
        {
            throw new PeerProtocolException(frame.Type == WebSocketMessageType.Close ? $"it closed the connection: {frame.Text}" : "it sent data before the greeting was over");
        }

        var control = PeerControl.Decode(frame.Payload.Span);
        return control.Type == type || (control.Type == PeerControl.Refuse && type != PeerControl.Hello)
            ? control
            : throw new PeerProtocolException($"it said '{control.Type}' where '{type}' was due");
    }

    private static string DescribeRival(PeerLink? rival, string address) =>
        $"Refused the machine at {address}: another machine{(rival is null ? "" : $", at {rival.Address},")} is connected with the same id"
        + $"{(rival is null ? "" : $" '{rival.MachineId}'")} and answers. Give each machine a cluster.id of its own, or stop one of the two.";

    private static PeerMeeting Understand(PeerControl refusal, string where) => refusal.Code == PeerControl.Duplicate
        ? new PeerMeeting.Duplicate()
        : new PeerMeeting.Refused($"{where} refused this machine. {refusal.Reason}");

    private async Task<PeerMeeting> ConflictAsync(PeerSocket socket, string subject, string reason, CancellationToken cancellationToken)
    {
        table.Refused(subject, reason);
        await RefuseAsync(socket, PeerControl.Conflict, reason, cancellationToken);
        return new PeerMeeting.Refused(reason);
    }

    private static async Task RefuseAsync(PeerSocket socket, string code, string reason, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(RefusalTimeout);
        try
        {
            await socket.SendAsync(new PeerControl(PeerControl.Refuse) { Code = code, Reason = reason }, limit.Token);
            await socket.CloseOutputAsync(reason, limit.Token);
            // Read on until the other side closes: closing with its bytes unread would reset the connection and lose the reason.
            while ((await socket.ReceiveAsync(limit.Token)).Type != WebSocketMessageType.Close)
            {
            }
        }
        catch (Exception exception) when (exception is WebSocketException or IOException or OperationCanceledException or ObjectDisposedException)
        {
            // It is refused either way; that it did not wait to hear why changes nothing.
        }
    }
}

/// <summary>How a greeting ended.</summary>
internal abstract record PeerMeeting
{
    private PeerMeeting() { } // closed set: only the cases below

    /// <summary>The link is in the table; run it.</summary>
    public sealed record Linked(PeerLink Link) : PeerMeeting;

    public sealed record Duplicate : PeerMeeting;

    /// <summary>We met ourselves: the address is our own.</summary>
    public sealed record Self : PeerMeeting;

    /// <param name="Reason">Three parts.</param>
    public sealed record Refused(string Reason) : PeerMeeting;
}
