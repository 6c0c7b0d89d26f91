using Clustd.Core;

namespace Clustd.Events;

/// <summary>One sentence of this machine's history. Id grows with every event; zero before it is stored. At is wall-clock time: for people only.</summary>
public sealed record RecordedEvent(long Id, DateTimeOffset At, Severity Severity, string Kind, ServiceName? Service, string Sentence);
