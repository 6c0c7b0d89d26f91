using System.Collections;
using System.Collections.Immutable;
using System.Reflection;

namespace Clustd.Tests.Decoders;

/// <summary>
/// A random value of any type that travels: records by their constructor and their init properties, closed sets by one of their cases, collections of a few. The
/// extremes of every type come often. One field more in a message is generated, and tested, without anybody thinking of it.
/// </summary>
internal sealed class AnyValue(Random random)
{
    private const int ElementsMax = 3;
    private const int DepthMax = 8;

    private static readonly string[] Texts = ["", "a", "cm-1", "web", " ", "\"\\/\b\f\n\r\t", "\0\u0001\u001f", "é🙂\u2028", "\uffff", "2038-01-19", new('x', 300)];
    private static readonly long[] Numbers = [0, 1, -1, 2, 1 << 20, int.MaxValue, int.MinValue, 1L << 53, long.MaxValue, long.MinValue];

    public object Of(Type type) => Of(type, 0) ?? throw new InvalidOperationException($"{type} came out null.");

    private object? Of(Type type, int depth)
    {
        if (Nullable.GetUnderlyingType(type) is { } inner) return random.Next(3) == 0 ? null : Of(inner, depth);
        if (type == typeof(string)) return Texts[random.Next(Texts.Length)];
        if (type == typeof(bool)) return random.Next(2) == 0;
        if (type == typeof(int)) return (int)Numbers[random.Next(7)];
        if (type == typeof(long)) return Number();
        if (type == typeof(ulong)) return unchecked((ulong)Number());
        if (type == typeof(TimeSpan)) return TimeSpan.FromMicroseconds(Number() / 1_000); // as far as a TimeSpan reaches
        if (type == typeof(byte[])) return Enumerable.Range(0, random.Next(40)).Select(_ => (byte)random.Next(256)).ToArray();
        if (type.IsEnum) return Enum.GetValues(type).GetValue(random.Next(Enum.GetValues(type).Length));
        if (type.IsGenericType) return Collection(type, depth);
        return type.IsAbstract ? Of(CaseOf(type), depth) : Record(type, depth);
    }

    private long Number() => random.Next(2) == 0 ? Numbers[random.Next(Numbers.Length)] : random.NextInt64();

    private Type CaseOf(Type closedSet)
    {
        var cases = closedSet.GetNestedTypes().Where(type => type.IsSubclassOf(closedSet)).ToArray();
        return cases[random.Next(cases.Length)];
    }

    private object Collection(Type type, int depth)
    {
        var element = type.GetGenericArguments();
        var count = depth > DepthMax ? 0 : random.Next(ElementsMax + 1);
        var array = Array.CreateInstance(element[^1], count);
        for (var i = 0; i < count; i++) array.SetValue(Of(element[^1], depth + 1), i);
        var definition = type.GetGenericTypeDefinition();
        if (definition == typeof(IReadOnlyList<>)) return array;
        if (definition == typeof(ImmutableSortedDictionary<,>))
        {
            var dictionary = (IDictionary)Activator.CreateInstance(typeof(Dictionary<,>).MakeGenericType(element))!;
            foreach (var value in array) dictionary[Of(element[0], depth + 1)!] = value;
            return Made(typeof(ImmutableSortedDictionary), nameof(ImmutableSortedDictionary.ToImmutableSortedDictionary), element, dictionary);
        }

        var (factory, method) = definition == typeof(ImmutableArray<>) ? (typeof(ImmutableArray), nameof(ImmutableArray.ToImmutableArray))
            : definition == typeof(ImmutableList<>) ? (typeof(ImmutableList), nameof(ImmutableList.ToImmutableList))
            : definition == typeof(ImmutableSortedSet<>) ? (typeof(ImmutableSortedSet), nameof(ImmutableSortedSet.ToImmutableSortedSet))
            : throw new NotSupportedException($"Nobody has said how to make a {type}. Say it here.");
        return Made(factory, method, element, array);
    }

    // The overload that takes nothing but the elements.
    private static object Made(Type factory, string method, Type[] element, object elements) =>
        factory.GetMethods()
            .Where(made => made.Name == method && made.GetParameters().Length == 1 && made.GetGenericArguments().Length == element.Length)
            .Select(made => made.MakeGenericMethod(element))
            .First(made => made.GetParameters()[0].ParameterType.IsInstanceOfType(elements))
            .Invoke(null, [elements])!;

    private object Record(Type type, int depth)
    {
        var constructor = type.GetConstructors().OrderByDescending(made => made.GetParameters().Length).First(made => !IsCopy(made, type));
        var nullability = new NullabilityInfoContext();
        var record = constructor.Invoke([.. constructor.GetParameters().Select(parameter => MayBeNull(nullability.Create(parameter)) ? null : Of(parameter.ParameterType, depth + 1))]);
        var said = constructor.GetParameters().Select(parameter => parameter.Name).ToHashSet(StringComparer.OrdinalIgnoreCase);
        foreach (var property in type.GetProperties(BindingFlags.Public | BindingFlags.Instance).Where(property => property.SetMethod is { IsPublic: true } && !said.Contains(property.Name)))
        {
            property.SetValue(record, MayBeNull(nullability.Create(property)) ? null : Of(property.PropertyType, depth + 1));
        }

        return record;
    }

    private bool MayBeNull(NullabilityInfo info) => info.WriteState == NullabilityState.Nullable && random.Next(3) == 0;

    private static bool IsCopy(ConstructorInfo constructor, Type type) => constructor.GetParameters() is [var only] && only.ParameterType == type;
}
