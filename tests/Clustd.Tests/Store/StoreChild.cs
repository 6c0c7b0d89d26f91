using System.Diagnostics;
using System.Runtime.CompilerServices;
using Clustd.Store;

namespace Clustd.Tests.Store;

/// <summary>
/// This test program, started again as a process that can be killed: with the variable set it works on a store instead of running
/// tests. (A hidden command in the product would be one more thing that could go wrong there.)
/// </summary>
internal static class StoreChild
{
    private const string RoleVariable = "CLUSTD_TESTS_STORE_CHILD";
    private const string DirectoryVariable = "CLUSTD_TESTS_STORE_DIRECTORY";

    public static Process Start(string role, string directory)
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "Clustd.Tests")) { RedirectStandardOutput = true };
        start.Environment[RoleVariable] = role;
        start.Environment[DirectoryVariable] = directory;
        return Process.Start(start)!;
    }

#pragma warning disable CA2255 // this is an application: the one place before the test runner's own Main
    [ModuleInitializer]
    internal static void RunIfChild()
    {
        var role = Environment.GetEnvironmentVariable(RoleVariable);
        if (role is null)
        {
            return;
        }

        var store = SqliteStore.Open(Environment.GetEnvironmentVariable(DirectoryVariable)!, $"test child {role}");
        if (role == "append")
        {
            Append(store);
        }

        Console.Out.WriteLine("holding");
        Console.Out.Flush();
        Thread.Sleep(Timeout.Infinite);
    }
#pragma warning restore CA2255

    // Prints each acknowledged sequence after the acknowledgement, with up to 16 batches under way, until it is killed.
    private static void Append(SqliteStore store)
    {
        using var window = new SemaphoreSlim(16);
        var script = StoreScript.After(store.Stored.HardState.Term.Value);
        long acknowledged = script.Written;
        var writer = new StoreWriter(
            store,
            new StoreWriterEvents
            {
                Persisted = sequence =>
                {
                    Console.Out.WriteLine(sequence);
                    Console.Out.Flush();
                    window.Release((int)(sequence - acknowledged));
                    acknowledged = sequence;
                },
                DiskFull = e => Environment.FailFast(e.Message),
                Failed = e => Environment.FailFast(e.Message),
            },
            TimeProvider.System);
        while (true)
        {
            window.Wait();
            writer.Persist(script.Next());
        }
    }
}
