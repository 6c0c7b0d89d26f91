using Clustd.Peers;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Peers;

public sealed class PeerAddressTests
{
    [Theory]
    [InlineData("ws://10.0.0.1:3001", "10.0.0.1:3001")]
    [InlineData("wss://10.0.0.1:3001/", "10.0.0.1:3001")]
    [InlineData("10.0.0.1:3002", "10.0.0.1:3002")]
    [InlineData("10.0.0.1", "10.0.0.1:3001")]
    [InlineData("WS://CM-1.Example.org:1", "cm-1.example.org:1")]
    [InlineData("[::1]:3001", "[::1]:3001")]
    [InlineData("ws://[0:0:0:0:0:0:0:1]", "[::1]:3001")]
    [InlineData("fe80::1", "[fe80::1]:3001")]
    public void One_machine_has_one_spelling(string text, string expected) => PeerAddress.Parse(text).ToString().ShouldBe(expected);

    [Theory]
    [InlineData("")]
    [InlineData(null)]
    [InlineData("ftp://10.0.0.1:21")]
    [InlineData("10.0.0.1:0")]
    [InlineData("10.0.0.1:65536")]
    [InlineData("10.0.0.1:http")]
    [InlineData("two words:3001")]
    [InlineData("ws://")]
    public void What_is_no_address_is_not_taken_for_one(string? text) => PeerAddress.TryParse(text, out _).ShouldBeFalse();
}
