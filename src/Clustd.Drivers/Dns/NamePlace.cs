namespace Clustd.Drivers.Dns;

/// <summary>What one server has for a name.</summary>
/// <param name="Found">Its addresses, or what it stands for.</param>
/// <param name="Fences">All TXT records beside it: together they are the next update's prerequisite.</param>
internal sealed record NameState(IReadOnlyList<DnsRecord> Found, IReadOnlyList<DnsRecord> Fences)
{
    /// <summary>The newest fence; null: none is clustd's.</summary>
    public NameFence? Held { get; } = Fences.Select(record => NameFence.TextOf(record.Data)).OfType<string>().Select(NameFence.Parse).OfType<NameFence>().MaxBy(fence => fence.Token);

    public bool IsThere(IReadOnlyList<DnsRecord> wanted) => Found.Count == wanted.Count && wanted.All(Found.Contains);
}

/// <summary>A name, the fence beside it, and the servers that have them: reading and replacing, nothing else.</summary>
internal sealed class NamePlace
{
    private readonly DnsDriverOptions _options;
    private DnsName? _zone;

    public NamePlace(DnsDriverOptions options, TimeProvider time)
    {
        _options = options;
        Name = DnsName.Parse(options.Record, out _)!;
        FenceName = Name.Below(NameFence.Label)!;
        TsigKey? key = options is { Key: { } keyName, Secret: { } secret } ? new TsigKey(DnsName.Parse(keyName, out _)!, options.Algorithm, Convert.FromBase64String(secret)) : null;
        Primary = new DnsExchange(options.Server, key, options.TcpOnly, time);
        // Secondaries are only looked at, as clients look at them; they need not know the key.
        Secondaries = [.. options.Secondaries.Select(each => new DnsExchange(each, key: null, tcpOnly: false, time))];
    }

    public DnsName Name { get; }

    public DnsName FenceName { get; }

    public DnsExchange Primary { get; }

    public IReadOnlyList<DnsExchange> Secondaries { get; }

    /// <summary>The zone that the name is in: as given, or as its primary says.</summary>
    /// <exception cref="DnsException">It has none.</exception>
    public async Task<DnsName> ZoneAsync(CancellationToken cancellationToken)
    {
        if (_options.Zone is { } given) return DnsName.Parse(given, out _)!;
        if (_zone is not null) return _zone;
        DnsMessage answer = await AskAsync(Primary, Name, DnsType.Soa, cancellationToken).ConfigureAwait(false);
        DnsRecord? soa = answer.Answers.Concat(answer.Authority).FirstOrDefault(record => record.Type == DnsType.Soa && Name.IsWithin(record.Name));
        return _zone = soa?.Name ?? throw new DnsException($"{Primary.Server} does not say which zone {Name} is in: its answer has no SOA record. Add `zone`.");
    }

    /// <summary>What <paramref name="server"/> has.</summary>
    /// <exception cref="DnsException">It does not say.</exception>
    public async Task<NameState> ReadAsync(DnsExchange server, CancellationToken cancellationToken)
    {
        // At once: a takeover waits for it.
        var asked = WantedRecords.Types.Select(type => ReadAsync(server, Name, type, cancellationToken)).ToList();
        asked.Add(ReadAsync(server, FenceName, DnsType.Txt, cancellationToken));
        var all = await Task.WhenAll(asked).ConfigureAwait(false);
        return new NameState([.. all[..^1].SelectMany(each => each)], all[^1]);
    }

    /// <summary>Puts these records and this fence in the place of what is there, provided that the fence is still the one of <paramref name="read"/>. False: it is not, and nothing was changed.</summary>
    /// <exception cref="DnsException">The server does not do it, or does not say so.</exception>
    public async Task<bool> ReplaceAsync(NameState read, IReadOnlyList<DnsRecord> records, NameFence fence, CancellationToken cancellationToken)
    {
        DnsName zone = await ZoneAsync(cancellationToken).ConfigureAwait(false);
        // What a wildcard of the zone answers is not there. If it is, and is not ours, the server says so.
        IReadOnlyList<DnsRecord> prerequisites = read.Held is null
            ? [new DnsRecord(FenceName, DnsType.Txt, DnsClass.None, 0, [])]
            : [.. read.Fences.Select(each => each with { Ttl = 0 })];
        DnsMessage update = DnsMessage.Update(DnsExchange.NewId(), zone, prerequisites, Updates(records, fence));
        DnsMessage answer = await Primary.AskAsync(update, cancellationToken).ConfigureAwait(false);
        return answer.Code switch
        {
            DnsCode.NoError => true,
            DnsCode.NxRrset or DnsCode.YxRrset or DnsCode.NxDomain or DnsCode.YxDomain => false,
            var code => throw DnsRefusals.Of(Primary.Server, Primary.Key, DnsOpcode.Update, Name, zone, code),
        };
    }

    /// <summary>Whether the primary would take an update, found out by one whose prerequisite nothing can fulfil.</summary>
    /// <exception cref="DnsException">It would not.</exception>
    public async Task TryUpdateAsync(IReadOnlyList<DnsRecord> records, CancellationToken cancellationToken)
    {
        var never = NameFence.New("none", 0, "none");
        var nobodys = new NameState([], [new DnsRecord(FenceName, DnsType.Txt, DnsClass.In, 0, never.ToData())]);
        if (await ReplaceAsync(nobodys, records, never, cancellationToken).ConfigureAwait(false))
            throw new DnsException($"{Primary.Server} does not look at prerequisites: it has changed {Name} although it was told not to. A late packet of an old master could overwrite a newer one's. Use another server.");
    }

    private List<DnsRecord> Updates(IReadOnlyList<DnsRecord> records, NameFence fence)
    {
        uint ttl = (uint)_options.Ttl.TotalSeconds;
        return
        [
            .. WantedRecords.Types.Select(type => new DnsRecord(Name, type, DnsClass.Any, 0, [])),
            new DnsRecord(FenceName, DnsType.Txt, DnsClass.Any, 0, []),
            .. records,
            new DnsRecord(FenceName, DnsType.Txt, DnsClass.In, ttl, fence.ToData()),
        ];
    }

    // Asked for an address, a server says what the name stands for, and then that one's addresses.
    private async Task<IReadOnlyList<DnsRecord>> ReadAsync(DnsExchange server, DnsName name, DnsType type, CancellationToken cancellationToken) =>
        [.. (await AskAsync(server, name, type, cancellationToken).ConfigureAwait(false)).Answers.Where(record => record.Type == type && record.Name.Equals(name))];

    private async Task<DnsMessage> AskAsync(DnsExchange server, DnsName name, DnsType type, CancellationToken cancellationToken)
    {
        DnsMessage answer = await server.AskAsync(DnsMessage.Query(DnsExchange.NewId(), name, type), cancellationToken).ConfigureAwait(false);
        if (answer.Code is not (DnsCode.NoError or DnsCode.NxDomain)) throw DnsRefusals.Of(server.Server, server.Key, DnsOpcode.Query, name, null, answer.Code);
        return answer.IsAuthoritative
            ? answer
            : throw new DnsException($"{server.Server} has not {name} itself: its answer comes from a cache, or sends us elsewhere. Name a server of the zone in `server` and `secondaries`.");
    }
}
