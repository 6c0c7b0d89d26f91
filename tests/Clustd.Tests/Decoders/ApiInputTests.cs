using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Clustd.Core;
using Clustd.Core.Raft;
using Clustd.Http;
using Clustd.Tests.Http;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Decoders;

/// <summary>Bodies and query parameters over real HTTP: done, or refused in three parts; never the daemon's own fault.</summary>
public sealed class ApiInputTests : IAsyncLifetime
{
    private const int Requests = 300;
    private const string Secret = "a secret of the tests, long enough";

    private static readonly (string Route, string Body)[] Operations =
    [
        ("/v1/requests/move", """{"service":"web","target":"cm-2"}"""), ("/v1/requests/drain", """{"machine":"cm-2","drained":true}"""), ("/v1/requests/pause", """{"paused":false}"""),
        ("/v1/requests/transfer-leadership", """{"target":null}"""), ("/v1/requests/add-machine", """{"machine":"cm-4"}"""), ("/v1/requests/remove-machine", """{"machine":"cm-2"}"""),
    ];

    private static readonly string[] Numbers = ["", "0", "1", "-1", "+1", "1.0", "1e3", "9223372036854775807", "9223372036854775808", "NaN", "%00", "%ff", "%ud800", "0x1", " 1", "1 ", "\u0661", "1&since=2", "local", "LOCAL", "linearizable", "a&consistency=local"];

    private readonly HttpClient _client = new() { Timeout = TimeSpan.FromSeconds(20) };
    private readonly List<Request> _asked = [];
    private WebApplication _app = null!;
    private Api _api = null!;

    public async ValueTask InitializeAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        _app = builder.Build();
        _api = new Api(
            new ApiServices
            {
                TakeSnapshot = () => Task.FromResult(new MachineSnapshot(Views.Leader, new Instant(1_000_000))),
                Now = () => new Instant(1_000_000),
                Post = Post,
                Secret = Secret,
            },
            NullLogger<Api>.Instance);
        _api.Map(_app);
        await _app.StartAsync();
        _client.BaseAddress = new Uri(_app.Urls.Single());
        _client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", ApiToken.Derive(Secret));
    }

    [Fact]
    public async Task A_damaged_body_is_taken_whole_or_refused_in_three_parts()
    {
        var seed = System.Random.Shared.Next();
        for (var i = 0; i < Requests; i++, seed++)
        {
            var random = new System.Random(seed);
            var (route, body) = Operations[i % Operations.Length];
            var bytes = new Damage(random).Of(Encoding.UTF8.GetBytes(body));
            var before = _asked.Count;

            using var answer = await _client.PostAsync(route, new ByteArrayContent(bytes));

            await ShouldBeAnsweredAsync(answer, $"{route}, seed {seed}: {Encoding.UTF8.GetString(bytes)}");
            (_asked.Count > before).ShouldBe(answer.StatusCode == HttpStatusCode.OK, $"{route}, seed {seed}");
        }

        _asked.ShouldNotBeEmpty(); // else every body was beyond recognition, and nothing was shown
    }

    [Fact]
    public async Task A_mean_query_is_answered_or_refused_in_three_parts()
    {
        foreach (var value in Numbers)
        {
            foreach (var query in (string[])[$"/v1/events?since={value}", $"/v1/events?consistency={value}", $"/v1/status?consistency={value}", $"/v1/events?since={value}&since={value}", $"/master/{value}"])
            {
                using var answer = await _client.GetAsync(query);
                await ShouldBeAnsweredAsync(answer, query, isText: query.StartsWith("/master", StringComparison.Ordinal));
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _app.DisposeAsync();
    }

    private static async Task ShouldBeAnsweredAsync(HttpResponseMessage answer, string what, bool isText = false)
    {
        ((int)answer.StatusCode).ShouldBeInRange(200, 499, what);
        if (answer.IsSuccessStatusCode || isText)
        {
            return;
        }

        var problem = JsonDocument.Parse(await answer.Content.ReadAsStringAsync()).RootElement;
        foreach (var part in (string[])["what", "why", "do"])
        {
            problem.GetProperty(part).GetString().ShouldNotBeNullOrWhiteSpace(what);
        }
    }

    // The cluster says yes to everything, and a majority confirms every read.
    private void Post(Input input)
    {
        switch (input)
        {
            case Input.RequestMade made:
                _asked.Add(made.Request);
                _api.Perform(new Output.RequestAnswered(made.Id, new RequestOutcome(true, "Done.")));
                break;
            case Input.BarrierRequested asked:
                _api.Perform(new Output.BarrierAnswered(asked.Id, 9, ""));
                break;
        }
    }
}
