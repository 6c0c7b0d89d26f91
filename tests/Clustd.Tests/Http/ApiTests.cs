using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Clustd.Core;
using Clustd.Core.Raft;
using Clustd.Http;
using Clustd.Tests.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Http;

/// <summary>The API over real HTTP, on a scripted core.</summary>
public sealed class ApiTests : IAsyncLifetime
{
    private const string Secret = "a secret of the tests, long enough";

    private readonly ConcurrentQueue<Input> _inputs = new();
    private readonly HttpClient _client = new();
    private readonly FakeTimeProvider _time = new();
    private WebApplication _app = null!;
    private Api _api = null!;
    private MachineView _view = Views.Leader;
    private Instant _now = new(1_000_000);
    private bool _loopAnswers = true;
    private Func<string, Output.BarrierAnswered?> _confirm = id => new Output.BarrierAnswered(id, 9, "");
    private Func<Request, RequestOutcome?> _decide = _ => new RequestOutcome(true, "Done.");

    public async ValueTask InitializeAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        _app = builder.Build();
        _api = new Api(
            new ApiServices
            {
                TakeSnapshot = () => _loopAnswers ? Task.FromResult(new MachineSnapshot(_view, new Instant(1_000_000))) : new TaskCompletionSource<MachineSnapshot>().Task,
                Now = () => _now,
                Post = Post,
                Secret = Secret,
                OldSecret = "the secret of before, long enough too",
                HostNames = ["cm-1.example.org"],
                Time = _time,
            },
            NullLogger<Api>.Instance);
        _api.Map(_app);
        await _app.StartAsync();
        _client.BaseAddress = new Uri(_app.Urls.Single());
        _client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", ApiToken.Derive(Secret));
    }

    [Fact]
    public async Task Status_is_given_to_who_has_the_token_of_the_secret_or_of_the_old_one()
    {
        (await GetAsync("/v1/status")).Status.ShouldBe(200);
        _client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", ApiToken.Derive("the secret of before, long enough too"));
        (await GetAsync("/v1/status")).Json.GetProperty("services")[0].GetProperty("master").GetString().ShouldBe("cm-1");
    }

    // Catches: old knowledge dressed as the present, and a reader who asked for certainty and gets less.
    [Theory]
    [InlineData("/v1/status")]
    [InlineData("/v1/events")]
    public async Task A_read_says_whether_a_majority_confirmed_it(string path)
    {
        (await GetAsync(path)).Json.GetProperty("consistency").GetString().ShouldBe("linearizable");
        (await GetAsync($"{path}?consistency=linearizable")).Json.GetProperty("consistency").GetString().ShouldBe("linearizable");
        _inputs.Clear();
        (await GetAsync($"{path}?consistency=local")).Json.GetProperty("consistency").GetString().ShouldBe("local");
        _inputs.ShouldBeEmpty();

        _confirm = id => new Output.BarrierAnswered(id, null, "Not confirmed: nobody leads. Look at the others.");
        (await GetAsync(path)).Json.GetProperty("consistency").GetString().ShouldBe("local");
        var refused = await GetAsync($"{path}?consistency=linearizable");
        refused.Status.ShouldBe(503);
        refused.Json.GetProperty("why").GetString()!.ShouldContain("nobody leads");
        (await GetAsync($"{path}?consistency=eventual")).Status.ShouldBe(400);
    }

    [Fact]
    public async Task A_status_that_nobody_confirmed_says_why()
    {
        _confirm = id => new Output.BarrierAnswered(id, null, "Not confirmed: nobody leads. Look at the others.");

        var warnings = (await GetAsync("/v1/status")).Json.GetProperty("warnings").EnumerateArray();

        warnings.Single(warning => warning.GetProperty("code").GetString() == "not-confirmed").GetProperty("sentence").GetString()!.ShouldContain("nobody leads");
    }

    // Catches: a reader that waits for ever for a loop that has forgotten it.
    [Fact]
    public async Task A_read_that_nobody_answers_falls_back_to_what_is_known_here()
    {
        _confirm = _ => null;
        var reading = GetAsync("/v1/status");
        while (!reading.IsCompleted)
        {
            _time.Advance(ApiBarriers.AnswerLimit);
            await Task.Yield();
        }

        (await reading).Json.GetProperty("consistency").GetString().ShouldBe("local");
    }

    [Theory]
    [InlineData(null)]
    [InlineData("Bearer ")]
    [InlineData("Bearer wrong")]
    [InlineData("Basic YTpi")]
    public async Task Without_the_token_nothing_is_read_or_done(string? authorization)
    {
        _client.DefaultRequestHeaders.Authorization = null;
        if (authorization is not null)
        {
            _client.DefaultRequestHeaders.TryAddWithoutValidation("Authorization", authorization);
        }

        (await GetAsync("/v1/status")).Status.ShouldBe(401);
        (await GetAsync("/v1/events")).Status.ShouldBe(401);
        (await PostAsync("/v1/requests/move", """{"service":"web"}""")).Status.ShouldBe(401);
        (await PostAsync("/v1/goodbye", "")).Status.ShouldBe(401);

        _inputs.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_load_balancer_needs_no_token_and_learns_who_is_master()
    {
        _client.DefaultRequestHeaders.Authorization = null;

        (await GetAsync("/master/web")).ShouldSatisfyAllConditions(answer => answer.Status.ShouldBe(200), answer => answer.Text.ShouldBe("'web' runs on cm-1 under token 7.\n"));
        using var head = await _client.SendAsync(new HttpRequestMessage(HttpMethod.Head, "/master/web"));
        ((int)head.StatusCode).ShouldBe(200);

        _view = Views.Follower;
        (await GetAsync("/master/web")).Status.ShouldBe(503);
        (await GetAsync("/master/nope")).Status.ShouldBe(404);
        _view = Views.CutOff;
        (await GetAsync("/master/web")).Status.ShouldBe(503);
    }

    [Fact]
    public async Task Time_that_passes_after_the_view_was_taken_ends_mastership_too()
    {
        _now = new Instant(1_000_000) + TimeSpan.FromMilliseconds(900);

        (await GetAsync("/master/web")).Status.ShouldBe(503);
    }

    [Fact]
    public async Task Liveness_and_readiness_are_two_questions()
    {
        (await GetAsync("/livez")).Status.ShouldBe(200);
        (await GetAsync("/readyz")).Status.ShouldBe(200);

        _view = Views.CutOff;
        (await GetAsync("/livez")).Status.ShouldBe(200);
        (await GetAsync("/readyz")).Status.ShouldBe(503);

        _now += TimeSpan.FromSeconds(3);
        (await GetAsync("/livez")).Status.ShouldBe(503);
    }

    [Fact]
    public async Task When_the_decision_loop_does_not_answer_nothing_counts_as_running()
    {
        _loopAnswers = false;
        foreach (var path in new[] { "/livez", "/readyz", "/master/web", "/v1/status", "/v1/events" })
        {
            var asked = GetAsync(path);
            await Eventually.HoldsAsync(() =>
            {
                _time.Advance(TimeSpan.FromSeconds(1));
                return asked.IsCompleted;
            }, () => $"{path} never answers");

            (await asked).Status.ShouldBe(503);
        }
    }

    [Fact]
    public async Task A_move_is_asked_of_the_cluster_and_its_sentence_handed_back()
    {
        _decide = _ => new RequestOutcome(true, "'web' moves from cm-1 to cm-2, because an operator asked for it.");

        var answer = await PostAsync("/v1/requests/move", """{"service":"web","target":"cm-2"}""");

        answer.Status.ShouldBe(200);
        (answer.Json.GetProperty("done").GetBoolean(), answer.Json.GetProperty("sentence").GetString()).ShouldBe((true, "'web' moves from cm-1 to cm-2, because an operator asked for it."));
        _inputs.OfType<Input.RequestMade>().Single().Request.ShouldBe(new Request.Move(Views.Web, new MachineId("cm-2")));
    }

    [Fact]
    public async Task Each_request_has_its_route()
    {
        await PostAsync("/v1/requests/move", """{"service":"web"}""");
        await PostAsync("/v1/requests/drain", """{"machine":"cm-2","drained":true}""");
        await PostAsync("/v1/requests/pause", """{"paused":false}""");
        await PostAsync("/v1/requests/transfer-leadership", "");
        await PostAsync("/v1/requests/add-machine", """{"machine":"cm-4"}""");
        await PostAsync("/v1/requests/remove-machine", """{"machine":"cm-3"}""");

        _inputs.OfType<Input.RequestMade>().Select(made => made.Request).ShouldBe(
            [new Request.Move(Views.Web, null), new Request.Drain(new MachineId("cm-2"), true), new Request.Pause(false), new Request.TransferLeadership(null),
                new Request.AddMachine(new MachineId("cm-4")), new Request.RemoveMachine(new MachineId("cm-3"))]);
    }

    [Fact]
    public async Task What_the_cluster_refuses_is_a_conflict_with_its_sentence()
    {
        _decide = _ => new RequestOutcome(false, "Cannot move 'web': it has no master just now.");

        var answer = await PostAsync("/v1/requests/move", """{"service":"web"}""");

        answer.Status.ShouldBe(409);
        answer.Json.GetProperty("sentence").GetString().ShouldBe("Cannot move 'web': it has no master just now.");
    }

    [Fact]
    public async Task A_request_without_an_answer_is_not_known_to_be_done()
    {
        _decide = _ => null;
        var asked = PostAsync("/v1/requests/pause", """{"paused":true}""");
        await Eventually.HoldsAsync(() =>
        {
            _time.Advance(TimeSpan.FromSeconds(5));
            return asked.IsCompleted;
        }, () => "it waits for ever");

        var answer = await asked;
        answer.Status.ShouldBe(504);
        answer.Json.GetProperty("what").GetString().ShouldBe("It is not known whether this was done.");
    }

    [Theory]
    [InlineData("{", 400)]
    [InlineData("", 400)]
    [InlineData("[]", 400)]
    [InlineData("null", 400)]
    [InlineData("""{"service":5}""", 400)]
    [InlineData("""{"service":null}""", 400)]
    [InlineData("""{"service":""}""", 400)]
    [InlineData("""{"service":"a\nb"}""", 400)]
    [InlineData("""{"service":"web","targt":"cm-2"}""", 400)]
    [InlineData("LARGE", 413)]
    public async Task A_body_that_is_not_what_was_asked_for_is_refused_in_three_parts(string body, int status)
    {
        var answer = await PostAsync("/v1/requests/move", body == "LARGE" ? $$"""{"service":"{{new string('x', 17_000)}}"}""" : body);

        answer.Status.ShouldBe(status);
        answer.Json.EnumerateObject().Select(property => property.Name).ShouldBe(["what", "why", "do"]);
        answer.Json.EnumerateObject().ShouldAllBe(property => property.Value.GetString()!.Length > 5);
        _inputs.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_goodbye_is_passed_on_with_its_reason()
    {
        (await PostAsync("/v1/goodbye", """{"reason":"kernel update"}""")).Status.ShouldBe(202);
        (await PostAsync("/v1/goodbye", "")).Status.ShouldBe(202);

        _inputs.ShouldBe([new Input.GoodbyeRequested("kernel update"), new Input.GoodbyeRequested("an operator asked for it.")]);
    }

    [Fact]
    public async Task Events_are_those_after_the_index_asked_for()
    {
        var all = (await GetAsync("/v1/events")).Json;
        var later = (await GetAsync("/v1/events?since=5")).Json;

        all.GetProperty("events").GetArrayLength().ShouldBe(2);
        all.GetProperty("oldestIndex").GetInt64().ShouldBe(5);
        later.GetProperty("events").EnumerateArray().Single().GetProperty("sentence").GetString().ShouldBe("'web' runs on cm-1.");
        later.GetProperty("lastIndex").GetInt64().ShouldBe(9);
        (await GetAsync("/v1/events?since=9")).Json.GetProperty("lastIndex").GetInt64().ShouldBe(9);
        (await GetAsync("/v1/events?since=yesterday")).Status.ShouldBe(400);
        (await GetAsync("/v1/events?since=-1")).Status.ShouldBe(400);
    }

    [Fact]
    public async Task Unknown_paths_and_wrong_methods_are_answered_in_json()
    {
        (await GetAsync("/v1/nothing/here.js")).ShouldSatisfyAllConditions(
            answer => answer.Status.ShouldBe(404), answer => answer.Json.GetProperty("what").GetString().ShouldBe("There is nothing at /v1/nothing/here.js."));
        (await GetAsync("/v1/requests/move")).ShouldSatisfyAllConditions(
            answer => answer.Status.ShouldBe(405), answer => answer.Json.GetProperty("why").GetString().ShouldBe("It takes POST."));
        (await PostAsync("/v1/status", "{}")).Status.ShouldBe(405);
    }

    [Theory]
    [InlineData("Origin", "https://evil.example", 403)]
    [InlineData("Origin", "null", 403)]
    [InlineData("Sec-Fetch-Site", "cross-site", 403)]
    [InlineData("Sec-Fetch-Site", "same-site", 403)]
    [InlineData("Sec-Fetch-Site", "same-origin", 200)]
    [InlineData("Host", "evil.example:3001", 403)]
    [InlineData("Host", "localhost:3001", 200)]
    [InlineData("Host", "cm-1.example.org:3001", 200)]
    [InlineData("Host", "[::1]:3001", 200)]
    public async Task Pages_of_other_sites_and_names_that_were_bent_here_are_refused(string header, string value, int status)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/v1/status");
        request.Headers.TryAddWithoutValidation(header, value);

        using var response = await _client.SendAsync(request);

        ((int)response.StatusCode).ShouldBe(status);
    }

    [Fact]
    public async Task A_page_of_our_own_may_ask()
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/v1/status");
        request.Headers.TryAddWithoutValidation("Origin", _client.BaseAddress!.GetLeftPart(UriPartial.Authority));

        using var response = await _client.SendAsync(request);

        ((int)response.StatusCode).ShouldBe(200);
        response.Headers.CacheControl!.NoStore.ShouldBeTrue();
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _app.DisposeAsync();
    }

    private void Post(Input input)
    {
        _inputs.Enqueue(input);
        if (input is Input.RequestMade made && _decide(made.Request) is { } outcome)
        {
            _api.Perform(new Output.RequestAnswered(made.Id, outcome));
        }
        else if (input is Input.BarrierRequested barrier && _confirm(barrier.Id) is { } answered)
        {
            _api.Perform(answered);
        }
    }

    private async Task<Answer> GetAsync(string path)
    {
        using var response = await _client.GetAsync(path).WaitAsync(ScriptedDaemon.Patience);
        return new Answer((int)response.StatusCode, await response.Content.ReadAsStringAsync());
    }

    private async Task<Answer> PostAsync(string path, string body)
    {
        using var content = new StringContent(body, Encoding.UTF8, "application/json");
        using var response = await _client.PostAsync(path, content).WaitAsync(ScriptedDaemon.Patience);
        return new Answer((int)response.StatusCode, await response.Content.ReadAsStringAsync());
    }

    private sealed record Answer(int Status, string Text)
    {
        public JsonElement Json => JsonDocument.Parse(Text).RootElement;
    }
}
