using Clustd.Core;

namespace Clustd.Simulation;

/// <summary>Random choices in the simulator's units: true time in µs, probabilities in [0, 1].</summary>
internal sealed class Chance(ulong seed)
{
    private readonly SeededRandom _random = new(seed);

    /// <summary>A source of its own for what has this name: the same whatever else is drawn.</summary>
    public static Chance Of(ulong seed, string name)
    {
        // FNV-1a: the same on every runtime, which string.GetHashCode is not.
        var hash = 14695981039346656037UL;
        foreach (var letter in name)
        {
            hash = (hash ^ letter) * 1099511628211;
        }

        return new Chance(seed ^ hash);
    }

    public ulong Bits() => _random.NextUInt64();

    public bool Happens(double probability) => _random.NextDouble() < probability;

    public double Share() => _random.NextDouble();

    /// <summary>Uniform in [minimum, maximum].</summary>
    public long Between(long minimum, long maximum) => minimum + (long)(_random.NextUInt64() % (ulong)(maximum - minimum + 1));

    /// <summary>Log-uniform in [minimum, maximum]: every order of magnitude is equally likely.</summary>
    public long Skewed(long minimum, long maximum) =>
        (long)Math.Exp(Math.Log(Math.Max(1, minimum)) + (_random.NextDouble() * (Math.Log(Math.Max(1, maximum)) - Math.Log(Math.Max(1, minimum)))));

    public T Of<T>(IReadOnlyList<T> choices) => choices[_random.NextInt(choices.Count)];

    public Chance Split() => new(_random.NextUInt64());
}
