using System.Text;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Clustd.Peers;
using FsCheck;
using FsCheck.Xunit;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Consensus;

public class WireTests
{
    private static readonly ServiceDefinition Web = new() { Name = new ServiceName("web"), Prefer = [new MachineId("cm-1")] };

    /// <summary>One of each, with the values that are easy to forget: nothing, empty and null.</summary>
    private static readonly PeerBody[] All =
    [
        new PeerBody.Hello("10.0.0.1:3001", ["10.0.0.1:3001"], TimeSpan.FromSeconds(1), false, ulong.MaxValue, false, true),
        new PeerBody.Formed(new LogEntry(1, new Term(1), new Command.Form(new ClusterId("c"), 1, TimeSpan.FromSeconds(1), [new Member(new MachineId("cm-1"), new StoreId("s"), "a:1", true)]))),
        new PeerBody.Refusal("because"),
        new PeerBody.PreVote(new Term(3), new LogPosition(2, new Term(1))),
        new PeerBody.PreVoteAnswer(new Term(3), true),
        new PeerBody.Vote(new Term(3), new LogPosition(2, new Term(1)), true),
        new PeerBody.VoteAnswer(new Term(3), true, [new SessionAge(SessionId.None, 5), new SessionAge(new SessionId(7), 0)]),
        new PeerBody.Append(
            new Term(3), new LogPosition(0, Term.Zero), [new LogEntry(2, new Term(3), new Command.DefineServices([Web])), new LogEntry(3, new Term(3), new Command.NoOp(new MachineId("x")))], 1, 9, [], 4),
        new PeerBody.AppendAnswer(new Term(3), false, 0, Term.Zero, 4, 9, default, null),
        new PeerBody.AppendAnswer(new Term(3), true, 8, Term.Zero, 0, 9, new Stamp(new SessionId(2), 77, new Instant(123)), new MachineReport(1, false, [], null)),
        new PeerBody.AppendAnswer(new Term(3), true, 8, Term.Zero, 0, 9, default, new MachineReport(1, true, [new ServiceReadiness(Web.Name, true, false, "x")], [Web])),
        new PeerBody.Echo(new Term(3), new SessionId(2), 77, new Instant(123), TimeSpan.FromMicroseconds(1_234_567), 3),
        new PeerBody.TakeOver(new Term(3)),
        new PeerBody.SnapshotChunk(new Term(3), new LogPosition(7, new Term(2)), 0, 3, 99, [1, 2, 3]),
        new PeerBody.SnapshotAnswer(new Term(3), new LogPosition(7, new Term(2)), 3),
        new PeerBody.SetBack(new Term(3), new LogPosition(7, new Term(2))),
        new PeerBody.Relay(new MachineId("cm-3"), new PeerMessage(new ClusterId("c"), new StoreId("s"), new PeerBody.AppendAnswer(new Term(3), false, 0, Term.Zero, 4, 9, default, null))),
        new PeerBody.Relayed(new MachineId("cm-1"), new PeerMessage(new ClusterId("c"), new StoreId("s"), new PeerBody.Append(new Term(3), new LogPosition(0, Term.Zero), [], 1, 9, [], 4))),
        new PeerBody.Propose(new Command.ReportStarting(Web.Name, new Token(9), "again"), 77),
        new PeerBody.Propose(new Command.Release(Web.Name, new Token(9), "stopped", true), 77),
        new PeerBody.Propose(new Command.ReportRunning(Web.Name, new Token(9)), 77, [new Command.ReportRunning(Web.Name, new Token(10))]),
        new PeerBody.Propose(new Command.RequestMove(Web.Name, new Token(9), null, "no longer defined"), 77),
        new PeerBody.Ask("1", new Request.Move(Web.Name, null)),
        new PeerBody.AskAnswer("1", new RequestOutcome(false, "no")),
        new PeerBody.AskBarrier("1"),
        new PeerBody.BarrierAnswer("1", null, "no"),
        new PeerBody.BarrierAnswer("1", 9, ""),
    ];

    public static TheoryData<PeerBody> Bodies => new(All);

    [Theory]
    [MemberData(nameof(Bodies))]
    public void Every_message_survives_the_wire(PeerBody body)
    {
        var bytes = PeerMail.Write(new PeerMessage(new ClusterId("c"), new StoreId("s"), body));

        PeerMail.TryRead(bytes, out var read, out var problem).ShouldBeTrue(problem);
        PeerMail.Write(read).ShouldBe(bytes);
        read.Body.ShouldBeOfType(body.GetType());
    }

    [Fact]
    public void Every_kind_of_message_is_among_those() =>
        All.Select(body => body.GetType()).Distinct().OrderBy(type => type.Name, StringComparer.Ordinal)
            .ShouldBe(typeof(PeerBody).GetNestedTypes().OrderBy(type => type.Name, StringComparer.Ordinal));

    [Property(MaxTest = 300)]
    public void Garbage_is_refused_and_never_throws(byte[] bytes) => PeerMail.TryRead(bytes, out _, out _).ShouldBeFalse();

    [Property(MaxTest = 300)]
    public void A_damaged_message_is_read_or_refused_and_never_throws(NonNegativeInt at, byte value)
    {
        var bytes = PeerMail.Write(new PeerMessage(new ClusterId("c"), new StoreId("s"), All[at.Get % All.Length]));
        bytes[at.Get % bytes.Length] = value;

        Should.NotThrow(() => PeerMail.TryRead(bytes, out _, out _));
        Encoding.UTF8.GetString(bytes).ShouldNotBeNull();
    }
}
