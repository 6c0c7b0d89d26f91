using Clustd.Core;

namespace Clustd.Simulation;

/// <summary>
/// Who acts as master of what, in true time: from when a driver begins to handle its start until it has stopped. Also the outside resource
/// that drivers act on: it remembers the highest token it saw.
/// </summary>
internal sealed class Acting(World world)
{
    private readonly List<Act> _acts = [];
    private readonly Dictionary<ServiceName, (Token Token, MachineId Machine)> _resource = [];

    private readonly Chance _pauses = Chance.Of(world.Scenario.Seed, "acts");

    public IReadOnlyList<Act> Acts => _acts;

    public long Begun { get; private set; }

    public bool IsActing(ServiceName service) => _acts.Exists(act => act.Service == service && !act.IsExcused);

    public MachineId? MasterOf(ServiceName service) => _acts.Find(act => act.Service == service)?.Machine.Id;

    public Act Begin(SimulatedMachine machine, DriverName driver, string instance, ServiceName service, Token token)
    {
        var act = new Act(machine, driver, instance, service, token, world.Events.Now);
        world.Fencing.Begins(machine, service, token);
        CheckAgainstOthers(act);
        if (_resource.TryGetValue(service, out var highest) && (token < highest.Token || (token == highest.Token && machine.Id != highest.Machine)))
        {
            throw new ViolationException(
                Invariant.TokensGrow, $"{machine.Id} acts for {service} with token {token}, but the resource has seen {highest.Token} from {highest.Machine}");
        }

        _resource[service] = (token, machine.Id);
        _acts.Add(act);
        Begun++;
        if (world.Scenario.IsCampaign)
        {
            TryLater(act);
        }

        world.Note(machine.Id.Value, $"** {driver} acts for {service} with token {token}");
        return act;
    }

    /// <summary>How often the resource was used, and how often it refused.</summary>
    public long Tried { get; private set; }

    public long Refused { get; private set; }

    /// <summary>What runs uses the resource, which takes only the highest token that it has seen. Nobody whose killer was awake may ever be refused.</summary>
    public void Try(Act act)
    {
        Tried++;
        var highest = _resource[act.Service];
        if (act.Token >= highest.Token)
        {
            return;
        }

        Refused++;
        world.Note("resource", $"refuses what {act.Machine.Id} does for {act.Service} under token {act.Token}: {highest.Machine} was here with token {highest.Token}");
        if (!act.IsExcused)
        {
            throw new ViolationException(
                Invariant.OneMaster, $"{act.Machine.Id} ({act.Driver}) acts for {act.Service} under token {act.Token}, but {highest.Machine} has acted under {highest.Token} already");
        }
    }

    private void TryLater(Act act) => world.Events.After(_pauses.Between(world.Scenario.LeaseMicroseconds / 8, world.Scenario.LeaseMicroseconds / 2), () =>
    {
        if (!_acts.Contains(act))
        {
            return;
        }

        if (act.Machine.HostFrozenUntil <= world.Events.Now)
        {
            Try(act);
        }

        TryLater(act);
    });

    public void End(Act act, string why)
    {
        if (_acts.Remove(act))
        {
            world.Note(act.Machine.Id.Value, $"** {act.Driver} has stopped acting for {act.Service} (token {act.Token}): {why}");
        }
    }

    /// <summary>The killer was frozen when it should have killed: P3 instead of P2 holds for this one.</summary>
    public void Excuse(Act act) => act.IsExcused = true;

    /// <summary>A host thawed: what acts on by right must be alone.</summary>
    public void Recheck(SimulatedMachine machine)
    {
        foreach (var act in _acts.ToArray())
        {
            if (act.Machine == machine && !act.IsExcused)
            {
                CheckAgainstOthers(act);
            }
        }
    }

    private void CheckAgainstOthers(Act act)
    {
        foreach (var other in _acts)
        {
            if (other == act || other.IsExcused || other.Service != act.Service)
            {
                continue;
            }

            // A frozen host does nothing: what it runs is judged when it thaws.
            if (other.Machine != act.Machine && other.Machine.HostFrozenUntil <= world.Events.Now)
            {
                throw new ViolationException(
                    Invariant.OneMaster,
                    $"{act.Machine.Id} ({act.Driver}, token {act.Token}) acts for {act.Service} while {other.Machine.Id} ({other.Driver}, token {other.Token}) still does");
            }

            if (other.Machine == act.Machine && other.Driver == act.Driver)
            {
                throw new ViolationException(
                    Invariant.OneInstance, $"on {act.Machine.Id}, {act.Driver} {act.Instance} acts for {act.Service} while {other.Instance} still does");
            }

            if (other.Machine == act.Machine && other.Token != act.Token)
            {
                throw new ViolationException(
                    Invariant.OneMaster, $"on {act.Machine.Id}, {act.Driver} acts for {act.Service} with token {act.Token} while {other.Driver} still acts with {other.Token}");
            }
        }
    }
}

/// <summary>One driver instance acting for one service under one token.</summary>
internal sealed class Act(SimulatedMachine machine, DriverName driver, string instance, ServiceName service, Token token, long since)
{
    public SimulatedMachine Machine { get; } = machine;

    public DriverName Driver { get; } = driver;

    public string Instance { get; } = instance;

    public ServiceName Service { get; } = service;

    public Token Token { get; } = token;

    public long Since { get; } = since;

    public bool IsExcused { get; set; }
}
