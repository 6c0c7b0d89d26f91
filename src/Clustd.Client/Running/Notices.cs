namespace Clustd.Client.Running;

/// <summary>
/// Runs hooks of user code (log lines, lease news) one after the other on a thread of their own, so that a full stderr pipe or a slow hook cannot keep the
/// lease thread from seeing the lease end. What does not fit is dropped.
/// </summary>
internal sealed class Notices
{
    private const int WaitingMax = 256; // Many more than a healthy hook ever lets pile up.

    private readonly Queue<Action> waiting = new();
    private bool ended;

    public Notices(string name) => new Thread(Work) { IsBackground = true, Name = name }.Start();

    public void Post(Action hook)
    {
        lock (waiting)
        {
            if (ended || waiting.Count == WaitingMax)
                return;
            waiting.Enqueue(hook);
            Monitor.PulseAll(waiting);
        }
    }

    /// <summary>Ends the thread after what is waiting.</summary>
    public void End()
    {
        lock (waiting)
        {
            ended = true;
            Monitor.PulseAll(waiting);
        }
    }

    private void Work()
    {
        while (true)
        {
            Action hook;
            lock (waiting)
            {
                while (waiting.Count == 0 && !ended)
                    Monitor.Wait(waiting);
                if (waiting.Count == 0)
                    return;
                hook = waiting.Dequeue();
            }
            hook();
        }
    }
}
