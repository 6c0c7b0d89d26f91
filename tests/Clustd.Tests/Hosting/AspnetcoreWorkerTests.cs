using System.Diagnostics;
using System.Net;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using Clustd.Client.Testing;
using Clustd.Tests.Client;
using Clustd.Tests.Store;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Hosting;

/// <summary>samples/recipes/aspnetcore-worker, run as it is, as a process.</summary>
public sealed partial class AspnetcoreWorkerTests : IAsyncDisposable
{
    private readonly FakeDaemon daemon = FakeDaemon.Start();
    private readonly TemporaryDirectory folder = new();
    private readonly HttpClient http = new() { Timeout = ScriptedDaemon.Patience };
    private Process? program;

    private string DoneFile => Path.Combine(folder.Path, "done.log");

    private string[] Done => File.Exists(DoneFile) ? File.ReadAllLines(DoneFile) : [];

    [Fact] // Wrong program: runs its jobs on every machine, or goes on with them after it has said that it has stopped.
    public async Task It_does_the_jobs_while_it_is_the_master_and_answers_requests_all_the_time()
    {
        await StartAsync();
        await daemon.ConnectedAsync();
        (await StatusAsync("/healthz"), await StatusAsync("/master")).ShouldBe((HttpStatusCode.OK, HttpStatusCode.ServiceUnavailable));
        Done.ShouldBeEmpty();

        var first = await daemon.PromoteAsync();
        await Eventually.HoldsAsync(() => Done.Length >= 2, () => "no jobs are done");
        (await StatusAsync("/healthz"), await StatusAsync("/master")).ShouldBe((HttpStatusCode.OK, HttpStatusCode.OK));

        await daemon.DemoteAsync();
        var done = Done.Length;
        (await StatusAsync("/healthz"), await StatusAsync("/master")).ShouldBe((HttpStatusCode.OK, HttpStatusCode.ServiceUnavailable));
        await Task.Delay(200);
        Done.Length.ShouldBe(done);
        Done.ShouldAllBe(line => line == $"{first}");

        var second = await daemon.PromoteAsync();
        await Eventually.HoldsAsync(() => Done.Contains($"{second}"), () => "no jobs are done under the second token");
    }

    [Fact]
    public async Task It_stops_by_itself_in_time_when_no_lease_is_granted_any_more()
    {
        await StartAsync();
        var token = await daemon.PromoteAsync();
        await Eventually.HoldsAsync(() => Done.Length > 0, () => "no jobs are done");

        daemon.Grants = false;

        await daemon.HeardAsync("stopped");
        daemon.Stopped.Single().Token.ShouldBe(token);
        var done = Done.Length;
        await Task.Delay(200);
        Done.Length.ShouldBe(done);
        (await StatusAsync("/healthz"), await StatusAsync("/master")).ShouldBe((HttpStatusCode.OK, HttpStatusCode.ServiceUnavailable));
    }

    [Fact] // Wrong program: leaves without a word, so that the next machine has to wait for the lease.
    public async Task SIGTERM_ends_the_job_and_the_program_and_tells_the_daemon()
    {
        await StartAsync();
        await daemon.PromoteAsync();
        await Eventually.HoldsAsync(() => Done.Length > 0, () => "no jobs are done");
        var clock = Stopwatch.StartNew();

        Kill(program!.Id, 15).ShouldBe(0);

        await program.WaitForExitAsync().WaitAsync(ScriptedDaemon.Patience);
        program.ExitCode.ShouldBe(0);
        clock.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(10));
        daemon.Stopped.Count.ShouldBe(1);
    }

    [Fact]
    public async Task It_is_not_well_when_the_daemon_refuses_it()
    {
        await StartAsync(secret: "another secret");

        await Eventually.HoldsAsync(() => StatusAsync("/healthz").GetAwaiter().GetResult() == HttpStatusCode.ServiceUnavailable, () => "it is well although it was refused");
    }

    public async ValueTask DisposeAsync()
    {
        if (program is not null)
        {
            program.Kill();
            await program.WaitForExitAsync();
            program.Dispose();
        }

        http.Dispose();
        await daemon.DisposeAsync();
        folder.Dispose();
    }

    private async Task StartAsync(string? secret = null)
    {
        // tests/Clustd.Tests/bin/CONFIGURATION/FRAMEWORK -> samples/recipes/NAME/bin/CONFIGURATION/FRAMEWORK
        var output = new DirectoryInfo(AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar));
        var root = output.Parent!.Parent!.Parent!.Parent!.Parent!.FullName;
        var assembly = Path.Combine(root, "samples/recipes/aspnetcore-worker/bin", output.Parent.Name, output.Name, "AspnetcoreWorker.dll");
        var start = new ProcessStartInfo(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet", [assembly]) { RedirectStandardOutput = true, WorkingDirectory = folder.Path };
        (start.Environment["Clustd__Host"], start.Environment["Clustd__Secret"]) = (daemon.Url, secret ?? daemon.Options.Secret);
        (start.Environment["Done"], start.Environment["ASPNETCORE_URLS"]) = (DoneFile, "http://127.0.0.1:0");
        program = Process.Start(start)!;
        while (await program.StandardOutput.ReadLineAsync().WaitAsync(ScriptedDaemon.Patience) is { } line)
        {
            if (Listening().Match(line) is { Success: true } match)
            {
                http.BaseAddress = new Uri(match.Groups["url"].Value);
                _ = program.StandardOutput.ReadToEndAsync(); // A pipe that nobody empties would hold it up.
                return;
            }
        }

        throw new InvalidOperationException("The program ended before it listened.");
    }

    private async Task<HttpStatusCode> StatusAsync(string path)
    {
        using var response = await http.GetAsync(path);
        return response.StatusCode;
    }

    [GeneratedRegex(@"Now listening on: (?<url>http://\S+)")]
    private static partial Regex Listening();

    [DllImport("libc", EntryPoint = "kill")]
    private static extern int Kill(int process, int signal);
}
