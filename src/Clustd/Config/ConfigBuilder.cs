namespace Clustd.Config;

/// <summary>From nodes to the configuration of a daemon: the sections, then what only shows across them.</summary>
internal sealed class ConfigBuilder(string? path, string folder, ConfigSurroundings surroundings, ProblemList problems)
{
    private const int MachinesUsualMax = 9;

    public ClustdConfig Build(MappingNode root)
    {
        var top = new ConfigSection(root, "", ConfigKeys.In(ConfigKeys.Top), problems);
        var server = Section(top, root, ConfigKeys.Server, ConfigKeys.ServerSection);
        var cluster = Section(top, root, ConfigKeys.Cluster, ConfigKeys.ClusterSection);

        var id = Id(cluster);
        var bindAddress = server.Text(ConfigKeys.BindAddress)!;
        var bindPort = server.Number(ConfigKeys.BindPort);
        var listed = cluster.List(ConfigKeys.Machines).Select(text => MachineAddress.Parse(text, out _)!).ToList();
        var known = Remote(server, cluster, listed, bindAddress, bindPort);
        // Not known is an error by now; the rest is still read, for its own errors.
        var remote = known ?? Alone(bindAddress, bindPort);
        var others = listed.Where(m => m != remote).ToList();
        var secret = Secret(cluster, ConfigKeys.Secret);
        var oldSecret = Secret(cluster, ConfigKeys.OldSecret);
        var lease = cluster.Duration(ConfigKeys.Lease);
        var grace = cluster.DurationOrNull(ConfigKeys.RestartGrace) ?? (lease > ConfigKeys.RestartGrace.Default ? lease : ConfigKeys.RestartGrace.Default);
        var witness = cluster.Switch(ConfigKeys.Witness);

        var exposed = others.Append(remote).Where(m => !m.IsLoopback).Select(m => m.ToString()).ToList();
        if (!OwnAddress.IsLoopback(bindAddress)) exposed.Insert(0, bindAddress);
        CheckStrength(cluster, ConfigKeys.Secret, secret, exposed);
        CheckStrength(cluster, ConfigKeys.OldSecret, oldSecret, exposed);
        if (secret is not null && secret == oldSecret)
        {
            problems.Warning(cluster.PlaceOf(ConfigKeys.OldSecret), "'cluster.old_secret' is the secret itself", "a rotation has two different ones",
                "Remove it once the rotation is done.");
        }
        if (grace < lease)
        {
            problems.Error(cluster.PlaceOf(ConfigKeys.RestartGrace), "'cluster.restart_grace' is shorter than the lease",
                $"{ConfigDuration.Text(grace)} is less than {ConfigDuration.Text(lease)}, which a machine may be away in any case",
                $"Choose at least {ConfigDuration.Text(lease)}.");
        }
        var legacy = server.Switch(ConfigKeys.LegacyDrivers);
        if (legacy)
        {
            problems.Warning(server.PlaceOf(ConfigKeys.LegacyDrivers), "Drivers of 2018 are let in", "they answer before they have acted, renew no lease and run on when this daemon is gone, so two masters are not ruled out",
                "Replace them by drivers that stop for certain, then remove 'legacy_drivers'; docs/legacy-drivers.md says how.");
        }
        if (known is not null) CheckReach(server, cluster, remote, others, bindAddress, bindPort);

        var services = new ServiceReader(problems).Read(top);
        var drivers = new DriverReader(problems, folder, surroundings, servicesMayBeElsewhere: false).ReadList(top.Items(ConfigKeys.Drivers), services);
        foreach (var service in others.Count == 0 ? [] : (services ?? []).Where(service => service.RequiresFencing && !drivers.Any(driver => driver.Fences.Count > 0 && driver.Service == service.Name)))
        {
            if (witness) break;
            problems.Warning(top.PlaceOf(ConfigKeys.Services), $"Service '{service.Name}' requires fencing, and this file has no `fence` driver for it",
                "this machine could never take it over from one that was lost", $"Add `- fence: {{ service: {service.Name}, machine: ID, agent: fence_... }}` for each other machine.");
        }
        if (witness && drivers.Count > 0)
        {
            problems.Warning(top.PlaceOf(ConfigKeys.Drivers), "A witness has drivers", "it votes and runs nothing, so they are never started",
                "Remove 'drivers', or 'cluster.witness'.");
        }
        return new ClustdConfig
        {
            Path = path,
            Server = new ServerConfig { BindAddress = bindAddress, BindPort = bindPort, RemoteAddress = remote, DataDirectory = DataDirectory(server, id), LegacyDrivers = legacy },
            Cluster = new ClusterConfig { Secret = secret ?? "", OldSecret = oldSecret, Id = id, Machines = others, Lease = lease, Witness = witness, RestartGrace = grace },
            Services = services,
            Drivers = drivers,
            Watchdog = new WatchdogReader(problems).Read(top, lease, services, drivers),
        };
    }

    private ConfigSection Section(ConfigSection top, MappingNode root, SectionKey key, string section) =>
        new(top.Mapping(key) ?? new MappingNode(top.Has(key) ? top.PlaceOf(key) : root.At, []), section, ConfigKeys.In(section), problems);

    private string Id(ConfigSection cluster)
    {
        if (cluster.Has(ConfigKeys.Id)) return cluster.Text(ConfigKeys.Id) ?? "";
        if (ConfigName.WhyNot(surroundings.HostName) is { } why)
        {
            problems.Error(cluster.PlaceOf(ConfigKeys.Id), "'cluster.id' is missing",
                $"the host name '{ProblemList.Show(surroundings.HostName)}' cannot stand in for it: {why}", "Add `id: NAME`, another one on each machine.");
        }
        return surroundings.HostName;
    }

    private static MachineAddress Alone(string bindAddress, int bindPort) =>
        new(OwnAddress.IsEveryInterface(bindAddress) ? "127.0.0.1" : bindAddress, bindPort);

    private MachineAddress? Remote(ConfigSection server, ConfigSection cluster, IReadOnlyList<MachineAddress> listed, string bindAddress, int bindPort)
    {
        if (server.Has(ConfigKeys.RemoteAddress)) return server.Text(ConfigKeys.RemoteAddress) is { } given ? MachineAddress.Parse(given, out _) : null;
        // Items that could not be read have their own errors; without any there is nobody to be reached by.
        if (listed.Count == 0) return Alone(bindAddress, bindPort);

        var candidates = OwnAddress.Candidates(listed, bindAddress, bindPort, surroundings);
        if (candidates.Count == 1) return candidates[0];
        var why = candidates.Count == 0
            ? $"none of 'cluster.machines' is an address of this machine with port {bindPort} (it has {Shown(surroundings)})"
            : $"{string.Join(" and ", candidates)} in 'cluster.machines' are both this machine";
        problems.Error(cluster.PlaceOf(ConfigKeys.Machines), "'server.remote_address' is missing", why,
            $"Add `remote_address: ws://HOST:{bindPort}` under 'server': where the others reach this machine.");
        return null;
    }

    private static string Shown(ConfigSurroundings surroundings) =>
        string.Join(", ", surroundings.LocalAddresses.Select(a => a.ToString()).Take(8).Prepend($"the name {surroundings.HostName}"));

    private string? Secret(ConfigSection cluster, TextKey key) =>
        cluster.Text(key) is { } written ? SecretReader.Read(written, cluster.Named(key), cluster.PlaceOf(key), folder, surroundings, problems) : null;

    private void CheckStrength(ConfigSection cluster, TextKey key, string? secret, IReadOnlyList<string> exposed)
    {
        if (secret is null || SecretStrength.Bits(secret) >= SecretStrength.BitsMin) return;
        var what = $"{cluster.Named(key)} is too weak";
        var bits = $"it has {Math.Floor(SecretStrength.Bits(secret))} bits, {SecretStrength.BitsMin} are needed";
        const string make = "Make a good one with `clustd secret`, and write it on all machines.";
        if (exposed.Count > 0) problems.Error(cluster.PlaceOf(key), what, $"{bits} because {exposed[0]} is not loopback and strangers could guess it offline",
            make);
        else problems.Warning(cluster.PlaceOf(key), what, $"{bits} as soon as an address is not loopback", make);
    }

    /// <summary>Addresses that are each fine but cannot work together.</summary>
    private void CheckReach(ConfigSection server, ConfigSection cluster, MachineAddress remote, IReadOnlyList<MachineAddress> others, string bindAddress, int bindPort)
    {
        var far = others.FirstOrDefault(m => !m.IsLoopback);
        if (far is not null && remote.IsLoopback)
        {
            problems.Warning(server.PlaceOf(ConfigKeys.RemoteAddress), $"Other machines cannot reach {remote}", $"it is loopback, and {far} is another host",
                $"Write an address of this machine that {far.Host} can reach.");
        }
        else if (far is not null && OwnAddress.IsLoopback(bindAddress))
        {
            problems.Warning(server.PlaceOf(ConfigKeys.BindAddress), $"Other machines cannot reach {bindAddress}", $"it is loopback, and {far} is another host",
                "Remove 'bind_address' to listen on all interfaces.");
        }
        var otherNames = OwnAddress.IsLoopback(bindAddress) || remote.IsLoopback ? [] : OwnAddress.Candidates(others, bindAddress, bindPort, surroundings);
        foreach (var other in otherNames)
        {
            problems.Warning(cluster.PlaceOf(ConfigKeys.Machines), $"{other} seems to be this machine under another name",
                $"its own address is {remote}, so {other} counts as one machine more, and the cluster would wait for it",
                $"Write {remote} in its place, on all machines.");
        }
        if (others.Count + 1 > MachinesUsualMax)
        {
            problems.Warning(cluster.PlaceOf(ConfigKeys.Machines), $"{others.Count + 1} machines are many",
                $"every decision waits for {((others.Count + 1) / 2) + 1} of them", "Three or five machines decide faster and tolerate one or two failures.");
        }
    }

    private string DataDirectory(ConfigSection server, string id)
    {
        if (server.Text(ConfigKeys.DataDir) is { } given) return Path.GetFullPath(given, folder);
        if (surroundings.Variable("STATE_DIRECTORY") is { } state) return Path.GetFullPath(state.Split(':')[0], folder);
        // A bad id has its own message, and must not become a path.
        if (ConfigName.WhyNot(id) is not null) return folder;
        var shared = $"/var/lib/clustd/{id}";
        if (surroundings.CanKeepData(shared)) return shared;
        if (surroundings.HomeDirectory.StartsWith('/')) return Path.Combine(surroundings.HomeDirectory, ".local/state/clustd", id);
        problems.Error(server.PlaceOf(ConfigKeys.DataDir), "'server.data_dir' is missing", $"{shared} cannot be written, and $HOME is not set",
            "Add `data_dir: /PATH`, or run clustd as a user who can write there.");
        return shared;
    }
}
