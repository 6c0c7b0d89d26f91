using Clustd.Drivers;
using Clustd.Drivers.Docker;

namespace Clustd.Config.Drivers;

/// <summary>`docker`: a container of Docker or Podman that runs on the master.</summary>
internal sealed class DockerKind() : DriverKind("docker", "{ container: web }")
{
    public const string SectionName = "drivers[].docker";

    private static readonly TextKey Container = new(SectionName, "container", TextForm.Any, null, "Name of a container that is there, made by `docker create` or `podman create`.", "web") { Must = true };
    private static readonly TextKey Socket = new(SectionName, "socket", TextForm.Path, null, "Socket of the engine.", "/run/podman/podman.sock")
    {
        DefaultWords = string.Join(", else ", DockerDriverOptions.Sockets.Select(path => $"`{path}`")),
    };
    private static readonly NumberKey Restarts = new(SectionName, "restarts", DockerDriverOptions.RestartsDefault, 0, 100,
        "How often within 60 s what has ended is started again here before another machine tries.", "0");
    private static readonly SwitchKey Guard = new(SectionName, "guard", true,
        "A process that stops the container at the end of the lease, also if the driver process is killed or frozen.", "true");

    public override IReadOnlyList<ConfigKey> OwnKeys => [Container, Socket, Restarts, Guard];

    public override DriverOptions Read(DriverReading reading)
    {
        var (section, problems) = (reading.Section, reading.Problems);
        var container = section.Text(Container) ?? "";
        if (section.Has(Container) && DockerDriverOptions.WhyNotContainer(container) is { } why)
            problems.Error(section.PlaceOf(Container), $"'{ProblemList.Show(container)}' in {section.Named(Container)} is no container", why, "`docker ps -a` shows the names.");
        if (section.Text(Socket) is { } socket && DockerDriverOptions.WhyNotSocket(socket) is { } not)
            problems.Error(section.PlaceOf(Socket), $"'{ProblemList.Show(socket)}' in {section.Named(Socket)} is no socket", not, $"Write it as in `socket: {DockerDriverOptions.Sockets[0]}`.");
        if (!section.Switch(Guard))
        {
            problems.Warning(section.PlaceOf(Guard), $"{section.Named(Guard)} is false",
                "if the driver process is killed or frozen, nobody stops the container, and another machine may run its own, too", "Remove it, unless you know that this does no harm.");
        }
        return new DockerDriverOptions
        {
            Container = container,
            Socket = section.Text(Socket),
            RestartsMax = section.Number(Restarts),
            HasGuard = section.Switch(Guard),
        };
    }
}
