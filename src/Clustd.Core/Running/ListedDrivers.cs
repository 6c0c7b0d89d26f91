using System.Collections.Immutable;

namespace Clustd.Core.Running;

/// <summary>The drivers that this machine's file lists, by service.</summary>
internal sealed class ListedDrivers
{
    private readonly SortedDictionary<ServiceName, SortedSet<DriverName>> _byService = [];

    public ListedDrivers(ImmutableArray<ListedDriver> drivers)
    {
        foreach (var (driver, service) in drivers)
        {
            if (!_byService.TryGetValue(service, out var names))
            {
                _byService[service] = names = [];
            }

            names.Add(driver);
        }
    }

    public IReadOnlyCollection<ServiceName> Services => _byService.Keys;

    public IReadOnlyCollection<DriverName> Of(ServiceName service) => _byService.TryGetValue(service, out var names) ? names : [];

    public bool Contains(DriverName driver, ServiceName service) => _byService.TryGetValue(service, out var names) && names.Contains(driver);
}
