using System.Collections;
using System.Runtime.InteropServices;
using System.Text;

namespace Clustd.Drivers.Processes;

/// <summary>
/// Starts a process with exactly the descriptors it is given. posix_spawn and not System.Diagnostics.Process: the caller's
/// thread is the parent (a parent-death signal counts threads), pipes can be non-blocking, and nobody else reaps the child.
/// </summary>
internal static unsafe class ChildStart
{
    private const short SetSigMask = 0x08, SetSession = 0x80;

    /// <summary>Starts <paramref name="file"/>; <paramref name="descriptors"/> are (ours, the child's). Returns the pid.</summary>
    public static int Spawn(
        string file, IReadOnlyList<string> argv, IReadOnlyList<string> env, ReadOnlySpan<(int Ours, int Childs)> descriptors, bool ownSession)
    {
        // glibc's types take 80 and 336 bytes, musl's less.
        byte* actions = stackalloc byte[512];
        byte* attributes = stackalloc byte[1024];
        ulong* emptyMask = stackalloc ulong[16];
        for (int i = 0; i < 16; i++) emptyMask[i] = 0;
        LinuxCalls.posix_spawn_file_actions_init(actions);
        LinuxCalls.posix_spawnattr_init(attributes);
        using var path = new NativeStrings([file]);
        using var arguments = new NativeStrings(argv);
        using var environment = new NativeStrings(env);
        try
        {
            foreach (var (ours, childs) in descriptors) LinuxCalls.posix_spawn_file_actions_adddup2(actions, ours, childs);
            LinuxCalls.posix_spawnattr_setflags(attributes, (short)(SetSigMask | (ownSession ? SetSession : 0)));
            LinuxCalls.posix_spawnattr_setsigmask(attributes, emptyMask);
            int pid;
            int error = LinuxCalls.posix_spawn(&pid, path.Pointer[0], actions, attributes, arguments.Pointer, environment.Pointer);
            if (error != 0)
                throw new IOException($"Cannot start {file}: {Marshal.GetPInvokeErrorMessage(error)}. Check that it exists and is executable.");
            return pid;
        }
        finally
        {
            LinuxCalls.posix_spawn_file_actions_destroy(actions);
            LinuxCalls.posix_spawnattr_destroy(attributes);
        }
    }

    /// <summary>This process's environment as KEY=value lines, without what <paramref name="hide"/> names.</summary>
    public static List<string> InheritedEnvironment(Func<string, bool> hide)
    {
        var lines = new List<string>();
        foreach (DictionaryEntry entry in Environment.GetEnvironmentVariables())
            if (!hide((string)entry.Key)) lines.Add($"{entry.Key}={entry.Value}");
        lines.Sort(StringComparer.Ordinal);
        return lines;
    }
}

/// <summary>A NULL-terminated array of NUL-terminated UTF-8 strings, as exec wants them.</summary>
internal sealed unsafe class NativeStrings : IDisposable
{
    private readonly int _count;

    public NativeStrings(IReadOnlyList<string> values)
    {
        _count = values.Count;
        Pointer = (byte**)NativeMemory.AllocZeroed((nuint)(_count + 1), (nuint)sizeof(byte*));
        for (int i = 0; i < _count; i++) Pointer[i] = (byte*)Marshal.StringToCoTaskMemUTF8(values[i]);
    }

    public byte** Pointer { get; }

    public void Dispose()
    {
        for (int i = 0; i < _count; i++) Marshal.FreeCoTaskMem((nint)Pointer[i]);
        NativeMemory.Free(Pointer);
    }
}
