using System.Net.Sockets;
using Clustd.Peers;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Peers;

public sealed class InlineCompletionsTests
{
    // Catches: a runtime whose socket has lost the switch, which would show as a daemon that costs more and as nothing else.
    [Fact]
    public void This_runtime_knows_how()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        InlineCompletions.Prefer(socket).ShouldBeTrue();
    }
}
