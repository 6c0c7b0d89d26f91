namespace Clustd.Drivers.Docker;

/// <summary>The docker driver: a container of Docker or Podman that runs on the master only.</summary>
public sealed record DockerDriverOptions : DriverOptions
{
    public const int RestartsDefault = 3;

    private const int NameCharsMax = 255;
    private const int SocketBytesMax = 107; // sun_path

    /// <summary>Where an engine listens by default, in the order in which they are looked for.</summary>
    public static IReadOnlyList<string> Sockets { get; } = ["/var/run/docker.sock", "/run/podman/podman.sock"];

    public override string Kind => "docker";

    public override bool StopsForCertain => HasGuard;

    /// <summary>Name of a container that is there.</summary>
    public required string Container { get; init; }

    /// <summary>Path of the engine's socket; null: the first of <see cref="Sockets"/> that is there.</summary>
    public string? Socket { get; init; }

    /// <summary>How often in 60 s a container that has ended is started again here before another machine tries.</summary>
    public int RestartsMax { get; init; } = RestartsDefault;

    /// <summary>False: nobody stops the container when the driver process is killed or frozen.</summary>
    public bool HasGuard { get; init; } = true;

    /// <summary>Looked up anew each time: an engine may be installed later.</summary>
    public string EffectiveSocket => Socket ?? Sockets.FirstOrDefault(File.Exists) ?? Sockets[0];

    /// <summary>Null: it is the name of a container.</summary>
    public static string? WhyNotContainer(string name) =>
        name.Length is 0 or > NameCharsMax ? $"names have 1 to {NameCharsMax} characters"
        : !char.IsAsciiLetterOrDigit(name[0]) ? "names begin with a letter or a digit"
        : name.FirstOrDefault(c => !char.IsAsciiLetterOrDigit(c) && !"_.-".Contains(c)) is not '\0' and var bad ? $"names of containers have no '{bad}'"
        : null;

    /// <summary>Null: a socket can be there.</summary>
    public static string? WhyNotSocket(string path) =>
        !path.StartsWith('/') ? "it is no absolute path"
        : System.Text.Encoding.UTF8.GetByteCount(path) > SocketBytesMax ? $"a path of a socket has at most {SocketBytesMax} bytes"
        : null;

    /// <summary>Three-part messages about what does not fit together; empty when all is well.</summary>
    public IReadOnlyList<string> Validate()
    {
        var errors = new List<string>();
        if (WhyNotContainer(Container) is { } why) errors.Add($"The docker driver cannot run '{Container}': {why}. Give the name of a container (`docker ps -a`).");
        if (Socket is not null && WhyNotSocket(Socket) is { } not) errors.Add($"The docker driver cannot connect to '{Socket}': {not}. Give the path of the engine's socket, for example {Sockets[0]}.");
        return errors;
    }
}
