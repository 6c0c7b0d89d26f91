using System.Globalization;
using System.Text;
using Clustd.Drivers.Processes;

namespace Clustd.Guard;

/// <summary>
/// <c>clustd guard --launch</c>: the step between guard and app. It is this binary again, because a managed runtime must not fork and
/// go on: it sets what only the process itself can set (session, user, death with the guard), then becomes the app.
/// </summary>
internal static unsafe class LaunchStep
{
    /// <summary>Descriptors that the guard gives it: what to launch, and where to complain. Exec closes the second: silence is success.</summary>
    public const int SpecDescriptor = 3, ComplaintDescriptor = 4;

    private const string NoUser = "";

    /// <summary>The fields of the launch spec, NUL-separated: no JSON here, this process is to be gone in milliseconds.</summary>
    public static byte[] Describe(GuardSpec spec, int guardPid, string? cgroup)
    {
        List<string> fields =
        [
            guardPid.ToString(CultureInfo.InvariantCulture), spec.User ?? NoUser, spec.WorkingDirectory ?? "", cgroup ?? "",
            spec.Command.Count.ToString(CultureInfo.InvariantCulture), .. spec.Command, .. spec.Environment,
        ];
        return Encoding.UTF8.GetBytes(string.Join('\0', fields));
    }

    public static int Run()
    {
        LinuxCalls.SetCloseOnExec(ComplaintDescriptor);
        string[] fields = ReadSpec().Split('\0');
        int guardPid = int.Parse(fields[0], CultureInfo.InvariantCulture);
        int argumentCount = int.Parse(fields[4], CultureInfo.InvariantCulture);
        var command = fields.AsSpan(5, argumentCount).ToArray();
        var environment = fields.AsSpan(5 + argumentCount).ToArray().ToList();
        string? complaint = Launch(guardPid, fields[1], fields[2], fields[3], command, environment);
        LinuxCalls.WriteAll(ComplaintDescriptor, Encoding.UTF8.GetBytes(complaint));
        LinuxCalls._exit(127);
        return 127;
    }

    // Returns only if it failed, and then why.
    private static string Launch(int guardPid, string user, string workingDirectory, string cgroup, string[] command, List<string> environment)
    {
        if (cgroup.Length > 0) JoinCgroup(cgroup);
        LinuxCalls.setsid();
        if (user != NoUser && BecomeUser(user, command[0], environment) is { } refused) return refused;
        if (workingDirectory.Length > 0 && LinuxCalls.chdir(workingDirectory) != 0)
            return $"Cannot run '{command[0]}' in {workingDirectory}: {LinuxCalls.ErrnoText}. Correct `cwd` or create the directory.";
        // After the change of user, which clears it. The parent may have died just before: then nobody would ever send the signal.
        LinuxCalls.DieWithParent();
        if (LinuxCalls.getppid() != guardPid) LinuxCalls._exit(127);

        string file = FindInPath(command[0], environment);
        using var path = new NativeStrings([file]);
        using var arguments = new NativeStrings(command);
        using var variables = new NativeStrings(environment);
        LinuxCalls.CloseOnExecFrom(SpecDescriptor);
        // The runtime ignores SIGPIPE, and what is ignored stays ignored across exec: `yes | head` would never end.
        LinuxCalls.ResetSignals();
        LinuxCalls.execve(path.Pointer[0], arguments.Pointer, variables.Pointer);
        return $"Cannot run '{command[0]}': {LinuxCalls.ErrnoText}. Check that it exists, is executable and has an interpreter.";
    }

    private static string? BecomeUser(string user, string command, List<string> environment)
    {
        bool isNumber = uint.TryParse(user, CultureInfo.InvariantCulture, out uint number);
        LinuxCalls.PasswordEntry* entry = isNumber ? LinuxCalls.getpwuid(number) : LinuxCalls.getpwnam(user);
        if (entry == null) return $"Cannot run '{command}' as user '{user}': there is no such user. Create it or correct `user`.";
        string name = System.Runtime.InteropServices.Marshal.PtrToStringUTF8((nint)entry->Name)!;
        string home = System.Runtime.InteropServices.Marshal.PtrToStringUTF8((nint)entry->Home)!;
        (uint uid, uint gid) = (entry->Uid, entry->Gid);
        if (uid == LinuxCalls.geteuid() && uid != 0) return null; // already that user; groups cannot be set without root, nor need they
        if (LinuxCalls.initgroups(name, gid) != 0 || LinuxCalls.setgid(gid) != 0 || LinuxCalls.setuid(uid) != 0)
            return $"Cannot run '{command}' as user '{user}': {LinuxCalls.ErrnoText}. Run `clustd drivers` as root, or leave out `user`.";
        Set(environment, "HOME", home);
        Set(environment, "USER", name);
        Set(environment, "LOGNAME", name);
        return null;
    }

    private static void Set(List<string> environment, string key, string value)
    {
        environment.RemoveAll(line => line.StartsWith(key + "=", StringComparison.Ordinal));
        environment.Add($"{key}={value}");
    }

    private static void JoinCgroup(string procs)
    {
        int descriptor = LinuxCalls.open(procs, 1 /* O_WRONLY */ | LinuxCalls.O_CLOEXEC, 0);
        if (descriptor < 0) return; // the cgroup is a second net; the guard's own search for descendants is the first
        LinuxCalls.WriteAll(descriptor, "0"u8);
        LinuxCalls.close(descriptor);
    }

    private static string FindInPath(string command, List<string> environment)
    {
        if (command.Contains('/')) return command;
        string path = environment.Find(line => line.StartsWith("PATH=", StringComparison.Ordinal))?["PATH=".Length..] ?? "/usr/local/bin:/usr/bin:/bin";
        foreach (string directory in path.Split(':'))
        {
            string file = Path.Combine(directory.Length == 0 ? "." : directory, command);
            if (File.Exists(file)) return file;
        }
        return command;
    }

    private static string ReadSpec()
    {
        using var all = new MemoryStream();
        Span<byte> piece = stackalloc byte[4096];
        int count;
        while ((count = LinuxCalls.Read(SpecDescriptor, piece)) > 0) all.Write(piece[..count]);
        LinuxCalls.close(SpecDescriptor);
        return Encoding.UTF8.GetString(all.GetBuffer(), 0, (int)all.Length);
    }
}
