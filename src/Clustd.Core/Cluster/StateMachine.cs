namespace Clustd.Core.Cluster;

/// <summary>Applies committed commands.</summary>
public static class StateMachine
{
}
