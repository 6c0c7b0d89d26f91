using System.Diagnostics;
using Xunit;

namespace Clustd.Tests.Store;

/// <summary>A file system of a few megabytes that can be filled without hurting anybody. Only root may mount one: others skip.</summary>
internal sealed class SmallDisk : IAsyncDisposable
{
    private SmallDisk(string path) => Path = path;

    public string Path { get; }

    public static SmallDisk Mount(string path, int megabytes)
    {
        Assert.SkipUnless(Environment.UserName == "root", "only root may mount a small disk to fill");
        Directory.CreateDirectory(path);
        Assert.SkipUnless(Run("mount", "-t", "tmpfs", "-o", $"size={megabytes}m", "clustd-tests", path) == 0, "mounting a small disk is not permitted here");
        return new SmallDisk(path);
    }

    public void Fill(string file)
    {
        using var stream = new FileStream(file, FileMode.Create, FileAccess.Write, FileShare.Read, bufferSize: 0);
        var block = new byte[4096];
        try
        {
            while (true)
            {
                stream.Write(block);
            }
        }
        catch (IOException)
        {
            // Full: that was the purpose.
        }
    }

    public ValueTask DisposeAsync()
    {
        Run("umount", "--lazy", Path);
        return ValueTask.CompletedTask;
    }

    private static int Run(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode;
    }
}
