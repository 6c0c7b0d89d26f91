using System.Collections.Concurrent;
using Clustd.Core;
using Clustd.Core.Raft;

namespace Clustd.Http;

/// <summary>Requests that wait for the cluster's decision. Bounded in number and in time.</summary>
internal sealed class ApiRequests(Action<Input> post, TimeProvider time)
{
    public const int WaitingMax = 256;
    public static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(10);

    private readonly ConcurrentDictionary<string, TaskCompletionSource<RequestOutcome>> _waiting = new(StringComparer.Ordinal);

    /// <summary>Asks, and waits for the answer. Null: none came in time.</summary>
    /// <exception cref="ApiBusyException">Too many wait already.</exception>
    public Task<RequestOutcome?> AskAsync(Request request, CancellationToken cancellationToken) => AskAsync(id => new Input.RequestMade(id, request), cancellationToken);

    /// <summary>The same for whatever input is answered under the id that it is given.</summary>
    public async Task<RequestOutcome?> AskAsync(Func<string, Input> inputOf, CancellationToken cancellationToken)
    {
        if (_waiting.Count >= WaitingMax)
        {
            throw new ApiBusyException();
        }

        var id = Guid.NewGuid().ToString("N");
        // Continuations run elsewhere: the decision loop must not find itself writing an HTTP response.
        var answer = _waiting[id] = new TaskCompletionSource<RequestOutcome>(TaskCreationOptions.RunContinuationsAsynchronously);
        try
        {
            post(inputOf(id));
            return await answer.Task.WaitAsync(AnswerLimit, time, cancellationToken);
        }
        catch (TimeoutException)
        {
            return null;
        }
        finally
        {
            _waiting.TryRemove(id, out _);
        }
    }

    public void Answered(Output.RequestAnswered answered)
    {
        if (_waiting.TryGetValue(answered.Id, out var waiting))
        {
            waiting.TrySetResult(answered.Outcome);
        }
    }
}

/// <summary>As many requests wait for the cluster's decision as may.</summary>
internal sealed class ApiBusyException : Exception;
