using Tmds.DBus.Protocol;

namespace Clustd.Tests.Drivers.Systemd;

/// <summary>A systemd1 that refuses, fails and hangs as the real one does where a test cannot make that one do so: no polkit here, no jobs that are cancelled, no hanging manager.</summary>
internal sealed class FakeSystemd : IPathMethodHandler, IDisposable
{
    private const string Manager = "org.freedesktop.systemd1.Manager", ManagerPath = "/org/freedesktop/systemd1";

    private readonly DBusConnection _connection;
    private int _jobs;

    private FakeSystemd(DBusConnection connection) => _connection = connection;

    /// <summary>Answers to StartUnit and StopUnit: the name of an error, or none.</summary>
    public string? Error { get; set; }

    /// <summary>How jobs end.</summary>
    public string JobResult { get; set; } = "done";

    /// <summary>Whether jobs end at all.</summary>
    public bool EndsJobs { get; set; } = true;

    /// <summary>Whether anything is answered.</summary>
    public bool Answers { get; set; } = true;

    public string ActiveState { get; set; } = "inactive";

    public string Path => ManagerPath;

    public bool HandlesChildPaths => true;

    public static async Task<FakeSystemd> StartAsync(PrivateBus bus)
    {
        var connection = new DBusConnection(bus.Address);
        await connection.ConnectAsync();
        var fake = new FakeSystemd(connection);
        connection.AddMethodHandler(fake);
        await connection.RequestNameAsync("org.freedesktop.systemd1", RequestNameOptions.None);
        return fake;
    }

    public ValueTask HandleMethodAsync(MethodContext context)
    {
        if (!Answers)
        {
            context.DisposesAsynchronously = true;
            return ValueTask.CompletedTask;
        }
        switch (context.Request.MemberAsString)
        {
            case "Subscribe":
                Reply(context, "", static (ref MessageWriter _) => { });
                break;
            case "LoadUnit":
                Reply(context, "o", static (ref MessageWriter writer) => writer.WriteObjectPath("/org/freedesktop/systemd1/unit/web_2eservice"));
                break;
            case "Get":
                Get(context);
                break;
            case "StartUnit" or "StopUnit" when Error is not null:
                context.ReplyError(Error, "said the fake.");
                break;
            case "StartUnit" or "StopUnit":
                RunJob(context);
                break;
            default:
                context.ReplyUnknownMethodError();
                break;
        }
        return ValueTask.CompletedTask;
    }

    public void Dispose() => _connection.Dispose();

    private delegate void Writing(ref MessageWriter writer);

    private static void Reply(MethodContext context, string signature, Writing write)
    {
        var writer = context.CreateReplyWriter(signature);
        write(ref writer);
        context.Reply(writer.CreateMessage());
        writer.Dispose();
    }

    private void Get(MethodContext context)
    {
        var reader = context.Request.GetBodyReader();
        reader.ReadString();
        var value = reader.ReadString() switch
        {
            "ActiveState" => VariantValue.String(ActiveState),
            "LoadState" => VariantValue.String("loaded"),
            "RefuseManualStart" or "RefuseManualStop" or "RemainAfterExit" => VariantValue.Bool(false),
            "TriggeredBy" => VariantValue.Array(Array.Empty<string>()),
            _ => VariantValue.String(""),
        };
        Reply(context, "v", (ref MessageWriter writer) => writer.WriteVariant(value));
    }

    // The signal before the answer: the order that is easiest to get wrong.
    private void RunJob(MethodContext context)
    {
        string path = $"{ManagerPath}/job/{++_jobs}";
        if (JobResult == "done") ActiveState = context.Request.MemberAsString == "StartUnit" ? "active" : "inactive";
        if (EndsJobs)
        {
            using var signal = _connection.GetMessageWriter();
            signal.WriteSignalHeader(null, ManagerPath, Manager, "JobRemoved", "uoss");
            signal.WriteUInt32((uint)_jobs);
            signal.WriteObjectPath(path);
            signal.WriteString("web.service");
            signal.WriteString(JobResult);
            _connection.TrySendMessage(signal.CreateMessage());
        }
        Reply(context, "o", (ref MessageWriter writer) => writer.WriteObjectPath(path));
    }
}
