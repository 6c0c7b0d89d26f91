// A web application of which every machine answers requests, and one, the master, also does the jobs.   Clustd__Secret=... dotnet run
using Clustd.Client;
using Clustd.Client.Hosting;
using Microsoft.Extensions.Diagnostics.HealthChecks;

var builder = WebApplication.CreateBuilder(args);
builder.Services.AddClustdMaster<Jobs>();
builder.Services.AddHealthChecks().AddCheck<ClustdHealth>("clustd");

var app = builder.Build();
app.MapHealthChecks("/healthz");
app.MapGet("/master", (ClustdState clustd) => clustd.IsMaster() ? Results.Ok("master") : Results.StatusCode(503));
app.Run();

/// <summary>One job after the other; a new object each time that this machine becomes the master.</summary>
internal sealed class Jobs(IConfiguration configuration) : ClustdMasterService
{
    private readonly string done = configuration["Done"] ?? "done.log";

    protected override async Task ExecuteAsync(Lease lease, CancellationToken cancellationToken)
    {
        while (lease.IsValid) // Before each job, and as close to it as can be.
        {
            // A job that has begun is finished; send the token along to whatever can refuse an older one.
            await File.AppendAllTextAsync(done, $"{lease.Token}\n", CancellationToken.None);
            await Task.Delay(TimeSpan.FromMilliseconds(50), cancellationToken);
        }
    }
}

/// <summary>A standby is as healthy as the master. While the daemon is away what runs goes on until its lease is over: no reason to restart the program.</summary>
internal sealed class ClustdHealth(ClustdState clustd) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken) => Task.FromResult(
        clustd.Problem is { } problem ? HealthCheckResult.Unhealthy(problem)
        : clustd.IsConnected ? HealthCheckResult.Healthy(clustd.ToString())
        : HealthCheckResult.Degraded(clustd.ToString()));
}
