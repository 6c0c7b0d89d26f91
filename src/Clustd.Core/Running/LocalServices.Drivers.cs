using Clustd.Core.Cluster;

namespace Clustd.Core.Running;

/// <summary>The drivers themselves: which are taken in and on what terms, which of one name is the active one, what lease they are told, and when they are forgotten.</summary>
public sealed partial class LocalServices
{
    private void Welcome(List<Output> outputs)
    {
        foreach (var instance in _arrivals)
        {
            var connection = instance.Connection!.Value;
            var services = instance.FollowedIn(_state);
            var definitions = services.Select(DefinitionOf).ToList();
            if (Refusal(instance, definitions) is { } refusal)
            {
                outputs.Add(new Output.DriverRefused(connection, refusal));
                _connections.Remove(connection);
                Disconnect(instance);
                continue;
            }

            instance.Answerable = true;
            instance.Terms = TermsFor(instance);
            outputs.Add(new Output.DriverAccepted(connection, services, Lease, instance.Terms.KillTimeout));
            var what = services.IsEmpty ? "no service, because it names none and there is no 'default'" : string.Join(", ", services);
            outputs.Add(new Output.Noted(Severity.Information, "driver-connected", $"Driver {instance.Name} has registered for {what}."));
        }

        _arrivals.Clear();
    }

    // The shortest of all that may bind it: what is defined, what was granted with an assignment here, and what it still runs (rule 12).
    private DriverTerms TermsFor(DriverInstance instance)
    {
        var services = instance.FollowedIn(_state);
        var kill = services.IsEmpty ? new ServiceDefinition { Name = ServiceName.Default }.KillTimeout : services.Min(service => DefinitionOf(service).KillTimeout);
        foreach (var service in services)
        {
            if (_state.Services.TryGetValue(service, out var known) && known.Assignment is { } granted && granted.Machine == _settings.Self && granted.KillTimeout < kill)
            {
                kill = granted.KillTimeout;
            }
        }

        foreach (var calls in instance.Calls.Values)
        {
            kill = calls.Owes && calls.KillTimeout < kill ? calls.KillTimeout.Value : kill;
        }

        return new DriverTerms(services, kill);
    }

    /// <summary>
    /// A driver hears its terms once, when it registers. Where they have become too generous (a daemon that has just started does not know the
    /// cluster's yet), it must come again before it is told to start anything; what it runs goes on.
    /// </summary>
    private void SendAwayWhoseTermsAreOver(List<Output> outputs)
    {
        foreach (var instance in _instances)
        {
            if (!instance.TermsInDoubt)
            {
                continue;
            }

            instance.TermsInDoubt = false;
            if (!instance.Answerable || instance.Terms.Keep(TermsFor(instance)))
            {
                continue;
            }

            var connection = instance.Connection!.Value;
            var reason = $"Driver {instance.Name} must register anew: its services or their kill_timeout have changed since it came. It does so by itself.";
            outputs.Add(new Output.Noted(Severity.Information, "driver-terms", reason));
            outputs.Add(new Output.DriverRefused(connection, reason));
            _connections.Remove(connection);
            Disconnect(instance);
        }
    }

    private static string? Refusal(DriverInstance instance, List<ServiceDefinition> definitions)
    {
        foreach (var definition in definitions)
        {
            if (instance.Registration.StopTimeout > definition.StopTimeout)
            {
                return Refusal(instance, definition, "stop", "stop_timeout", instance.Registration.StopTimeout.Value, definition.StopTimeout);
            }

            if (instance.Registration.KillTimeout > definition.KillTimeout)
            {
                return Refusal(instance, definition, "be killed", "kill_timeout", instance.Registration.KillTimeout.Value, definition.KillTimeout);
            }
        }

        return null;
    }

    private static string Refusal(DriverInstance instance, ServiceDefinition definition, string what, string setting, TimeSpan needs, TimeSpan granted) =>
        $"Driver {instance.Name} is refused: it needs {LocalService.Words(needs)} to {what}, but '{definition.Name}' grants {LocalService.Words(granted)}. " +
        $"Raise {setting} of the service to at least {LocalService.Words(needs)} on all machines, or make the driver faster.";

    // One active instance per name: the next one in line takes over when what the first one ran is over.
    private void ChooseActive(Moment moment)
    {
        foreach (var instance in _instances)
        {
            var first = _active.GetValueOrDefault(instance.Name);
            if ((first is not null && !ReferenceEquals(first, instance)) || (first is not null && moment.KeepsOthersOut(first)))
            {
                continue; // Looked at once per name: with the active one, or with the first that there is.
            }

            // Whoever still runs something is the one; else the present one while it is connected; else the first in line.
            var next = FirstRunning(instance.Name, moment) ?? (first is { IsConnected: true } ? first : FirstConnected(instance.Name));
            if (ReferenceEquals(next, first))
            {
                continue;
            }

            MarkServicesOf(instance);
            if (next is null)
            {
                _active.Remove(instance.Name);
            }
            else
            {
                _active[instance.Name] = next;
            }
        }

        foreach (var instance in _instances)
        {
            if (instance.Answerable && !moment.IsActive(instance) && !instance.WaitNoted)
            {
                instance.WaitNoted = true;
                moment.Note(Severity.Warning, "driver-waits", $"A second instance of driver {instance.Name} waits until the first is proven stopped or its lease is over.");
            }
        }
    }

    // In the order of their arrival, which is that of the list.
    private DriverInstance? FirstRunning(DriverName name, Moment moment)
    {
        foreach (var instance in _instances)
        {
            if (instance.Name == name && moment.KeepsOthersOut(instance))
            {
                return instance;
            }
        }

        return null;
    }

    private DriverInstance? FirstConnected(DriverName name)
    {
        foreach (var instance in _instances)
        {
            if (instance.Name == name && instance.IsConnected)
            {
                return instance;
            }
        }

        return null;
    }

    private void Renew(Moment moment, List<Output> outputs)
    {
        foreach (var (connection, stamp) in _renewals)
        {
            if (!_connections.TryGetValue(connection, out var instance))
            {
                continue;
            }

            var starves = Starves(instance);
            TimeSpan? left = moment.CannotTell ? null : TimeSpan.Zero;
            var until = MayHaveGrace(instance) ? moment.Hold.Until : moment.Hold.OrdinaryUntil;
            if (instance.Answerable && moment.IsActive(instance) && moment.Hold.IsHeld(moment.Now) && !starves)
            {
                left = until > moment.Now ? until - moment.Now : TimeSpan.Zero;
                moment.ExtendLease(instance, until);
            }

            // It may still hold what a daemon before this one gave it in order to restart. That is over sooner than by itself only if the driver takes less.
            outputs.Add(new Output.DriverLease(connection, stamp, left) { Shortens = instance.InheritedUntil > until });
        }

        _renewals.Clear();
    }

    private bool Starves(DriverInstance instance)
    {
        foreach (var (name, calls) in instance.Calls)
        {
            if (_services.TryGetValue(name, out var service) && service.Starves(calls))
            {
                return true;
            }
        }

        return false;
    }

    private void Forget(Moment moment)
    {
        for (var i = _instances.Count - 1; i >= 0; i--)
        {
            var instance = _instances[i];
            if (instance.IsConnected || moment.MayRunAnything(instance))
            {
                continue;
            }

            MarkServicesOf(instance);
            _instances.RemoveAt(i);
            if (ReferenceEquals(_active.GetValueOrDefault(instance.Name), instance))
            {
                _active.Remove(instance.Name);
            }
        }
    }

    private DriverView ViewOf(DriverInstance instance)
    {
        var services = instance.FollowedIn(_state);
        var required = _settings.Drivers.Any(listed => listed.Name == instance.Name)
            || _state.Services.Values.Any(service => service.Definition.Drivers.Contains(instance.Name));
        var error = instance.Calls.Values.Select(calls => calls.Error).FirstOrDefault(text => text is not null);
        var active = ReferenceEquals(_active.GetValueOrDefault(instance.Name), instance);
        return new DriverView(instance.Name, instance.Id, services, instance.IsConnected, active, required, instance.Registration.StopsForCertain, error);
    }
}
