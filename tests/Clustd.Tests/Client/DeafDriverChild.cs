using System.Diagnostics;
using System.Runtime.CompilerServices;
using Clustd.Client;
using Clustd.Client.Testing;

namespace Clustd.Tests.Client;

/// <summary>This test program, started again as a driver whose stop never returns: with the variables set it is that, instead of running tests.</summary>
internal static class DeafDriverChild
{
    private const string UrlVariable = "CLUSTD_TESTS_DRIVER_URL";
    private const string SecretVariable = "CLUSTD_TESTS_DRIVER_SECRET";

    public static Process Start(FakeDaemon daemon)
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "Clustd.Tests")) { RedirectStandardError = true };
        start.Environment[UrlVariable] = daemon.Url;
        start.Environment[SecretVariable] = daemon.Options.Secret;
        return Process.Start(start)!;
    }

#pragma warning disable CA2255 // this is an application: the one place before the test runner's own Main
    [ModuleInitializer]
    internal static void RunIfChild()
    {
        if (Environment.GetEnvironmentVariable(UrlVariable) is not { } url)
            return;
        new Deaf(new DriverClient { Secret = Environment.GetEnvironmentVariable(SecretVariable)!, Id = "deaf" }, url).ConnectAsync().Wait();
        Thread.Sleep(Timeout.Infinite);
    }
#pragma warning restore CA2255

    private sealed class Deaf(DriverClient client, string host) : DriverMachine(client, host)
    {
        private bool started;

        protected override void Trigger(bool isMaster)
        {
            if (started)
                Thread.Sleep(Timeout.Infinite);
            started = isMaster;
        }
    }
}
