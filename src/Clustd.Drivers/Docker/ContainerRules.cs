namespace Clustd.Drivers.Docker;

/// <summary>Which containers can be run on the master only, by what the engine says about them.</summary>
internal static class ContainerRules
{
    /// <summary>Bad: it would be started by somebody else as well, or could not be started again.</summary>
    public static IEnumerable<DriverFinding> Of(string container, ContainerState? state)
    {
        if (state is null)
        {
            yield return new(FindingLevel.Bad, container, EngineErrors.Missing(container));
            yield break;
        }
        if (state.HostConfig.RestartPolicy?.Name is { Length: > 0 } policy and not "no")
            yield return new(FindingLevel.Bad, container, $"{container} has the restart policy '{policy}': the engine would start it by itself, also on a machine that is not the master. `docker update --restart=no {container}`; clustd restarts it.");
        if (state.HostConfig.AutoRemove)
            yield return new(FindingLevel.Bad, container, $"{container} was made with --rm: the engine removes it when it is stopped, and it could not be started again. Make it anew without that (`docker create`).");
        yield return new(FindingLevel.Good, container, $"is there, {state.Words}{(state.State.Health?.Status is { Length: > 0 } health and not "none" ? $", health check: {health}" : "")}");
    }
}
