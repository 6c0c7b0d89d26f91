using System.Collections.Concurrent;
using Clustd.Core;

namespace Clustd.Http;

/// <summary>How a reader wants to read.</summary>
internal enum Consistency
{
    /// <summary>Confirmed if a majority confirms it soon, else what this machine knows, which says how old it is.</summary>
    Preferred,

    /// <summary>What this machine knows, at once.</summary>
    Local,

    /// <summary>Confirmed, or refused.</summary>
    Linearizable,
}

/// <summary>Reads that wait until this machine has seen all that was decided before they came. Bounded in time; nobody waits for nothing.</summary>
internal sealed class ApiBarriers(Action<Input> post, TimeProvider time)
{
    /// <summary>The core gives up after one lease; a person should not wait longer than this.</summary>
    public static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<string, TaskCompletionSource<Output.BarrierAnswered>> _waiting = new(StringComparer.Ordinal);

    /// <summary>Null: confirmed. Else why not, in three parts.</summary>
    public async Task<string?> WhyNotConfirmedAsync(CancellationToken cancellationToken)
    {
        if (_waiting.Count >= ApiRequests.WaitingMax)
        {
            return $"Not confirmed: {ApiRequests.WaitingMax} reads wait for a majority already. Ask again in a moment.";
        }

        var id = Guid.NewGuid().ToString("N");
        var answer = _waiting[id] = new TaskCompletionSource<Output.BarrierAnswered>(TaskCreationOptions.RunContinuationsAsynchronously);
        try
        {
            post(new Input.BarrierRequested(id));
            var answered = await answer.Task.WaitAsync(AnswerLimit, time, cancellationToken);
            return answered.Index is null ? answered.Sentence : null;
        }
        catch (TimeoutException)
        {
            return $"Not confirmed: no majority confirmed this read within {AnswerLimit.TotalSeconds:F0} s. See `clustd status` for who is missing.";
        }
        finally
        {
            _waiting.TryRemove(id, out _);
        }
    }

    public void Answered(Output.BarrierAnswered answered)
    {
        if (_waiting.TryGetValue(answered.Id, out var waiting))
        {
            waiting.TrySetResult(answered);
        }
    }

    /// <summary>`?consistency=`; null when it cannot be read.</summary>
    public static Consistency? Of(Microsoft.Extensions.Primitives.StringValues asked) => asked.Count switch
    {
        0 => Consistency.Preferred,
        1 => asked[0] switch { "local" => Consistency.Local, "linearizable" => Consistency.Linearizable, _ => null },
        _ => null,
    };
}
