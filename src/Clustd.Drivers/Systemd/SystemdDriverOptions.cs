namespace Clustd.Drivers.Systemd;

/// <summary>The systemd driver: services of systemd that run on the master only.</summary>
public sealed record SystemdDriverOptions : DriverOptions
{
    public const int RestartsDefault = 3;

    private const int UnitCharsMax = 255;

    public override string Kind => "systemd";

    public override bool StopsForCertain => HasGuard;

    /// <summary>Names of service units, "web.service"; started in this order, stopped in the other.</summary>
    public required IReadOnlyList<string> Units { get; init; }

    /// <summary>How often in 60 s a unit that has ended is started again here before another machine tries.</summary>
    public int RestartsMax { get; init; } = RestartsDefault;

    /// <summary>Address of systemd's bus; null: the system's.</summary>
    public string? Bus { get; init; }

    /// <summary>False: nobody stops the units when the driver process is killed or frozen.</summary>
    public bool HasGuard { get; init; } = true;

    public override IEnumerable<string> Unprinted => Units;

    /// <summary>"web" is "web.service", as for systemctl.</summary>
    public static string FullName(string unit) => unit.Contains('.') ? unit : unit + ".service";

    /// <summary>Null: it is the name of a service unit.</summary>
    public static string? WhyNotUnit(string unit)
    {
        if (unit.Length > UnitCharsMax) return $"it is longer than {UnitCharsMax} characters";
        if (unit.FirstOrDefault(c => !char.IsAsciiLetterOrDigit(c) && !":-_.\\@".Contains(c)) is not '\0' and var bad) return $"names of units have no '{bad}'";
        if (!unit.EndsWith(".service", StringComparison.Ordinal)) return "what it starts would run on when it is stopped; only a .service can be stopped as a whole";
        string name = unit[..^".service".Length];
        if (name.Length == 0) return "there is nothing before '.service'";
        return name.EndsWith('@') ? "it is a template: an instance has something behind the @" : null;
    }

    /// <summary>Three-part messages about what does not fit together; empty when all is well.</summary>
    public IReadOnlyList<string> Validate()
    {
        var errors = new List<string>();
        if (Units.Count == 0) errors.Add("The systemd driver has no units: there is nothing to start. Give one, for example 'web.service'.");
        foreach (string unit in Units)
            if (WhyNotUnit(unit) is { } why) errors.Add($"The systemd driver cannot run '{unit}': {why}. Give a service, for example 'web.service'.");
        if (Units.Distinct(StringComparer.Ordinal).Count() != Units.Count) errors.Add("The systemd driver has a unit twice: it runs once. Remove one of the two.");
        return errors;
    }
}
