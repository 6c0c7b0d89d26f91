using System.Collections.Concurrent;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Clustd.Tests.Drivers.Webhook;

/// <summary>A real web server on loopback that answers as the test says, and counts every event once, by its key.</summary>
internal sealed class Receiver : IAsyncDisposable
{
    public sealed record Request(string Method, string Path, IReadOnlyDictionary<string, string> Headers, byte[] Body);

    private readonly WebApplication _app;

    private Receiver(WebApplication app) => _app = app;

    /// <summary>All that came, in order.</summary>
    public ConcurrentQueue<Request> Requests { get; } = new();

    /// <summary>What was acted on: the keys, each once.</summary>
    public ConcurrentDictionary<string, byte[]> Acted { get; } = new();

    /// <summary>Answers the n-th request, from 1. By default 204.</summary>
    public Func<int, HttpContext, Task> Answer { get; set; } = (_, context) => Status(context, 204);

    public Uri Url(string path = "/hook") => new(_app.Urls.Single().TrimEnd('/') + path);

    public static async Task<Receiver> StartAsync(X509Certificate2? certificate = null)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(System.Net.IPAddress.Loopback, 0, listen =>
        {
            if (certificate is not null) listen.UseHttps(certificate);
        }));
        if (certificate is not null) builder.WebHost.UseKestrelHttpsConfiguration();
        var app = builder.Build();
        var receiver = new Receiver(app);
        app.Run(receiver.TakeAsync);
        await app.StartAsync();
        return receiver;
    }

    public static Task Status(HttpContext context, int status, string body = "")
    {
        context.Response.StatusCode = status;
        return body.Length == 0 ? Task.CompletedTask : context.Response.WriteAsync(body);
    }

    /// <summary>For an answer: the receiver has done what it was told, whatever it answers then.</summary>
    public void Act(HttpContext context) => Acted.TryAdd(context.Request.Headers["Idempotency-Key"].ToString(), []);

    public async ValueTask DisposeAsync()
    {
        using var now = new CancellationTokenSource(TimeSpan.Zero);
        await _app.StopAsync(now.Token);
        await _app.DisposeAsync();
    }

    private async Task TakeAsync(HttpContext context)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body);
        var headers = context.Request.Headers.ToDictionary(header => header.Key, header => header.Value.ToString(), StringComparer.OrdinalIgnoreCase);
        Requests.Enqueue(new(context.Request.Method, context.Request.Path, headers, body.ToArray()));
        await Answer(Requests.Count, context);
    }
}
