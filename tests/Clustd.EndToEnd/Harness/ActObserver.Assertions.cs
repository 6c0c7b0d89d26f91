using Shouldly;

namespace Clustd.EndToEnd.Harness;

public sealed partial class ActObserver
{
    /// <summary>P1 and P2 as a resource sees them: tokens only grow, one token has one holder, nobody acts once a newer one has.</summary>
    public void ShouldNeverOverlap()
    {
        lock (_gate)
        {
            _refused.ShouldBeEmpty($"two masters at once:\n{Story()}");
            foreach (var service in _tenures.GroupBy(tenure => tenure.Service))
            {
                foreach (var (old, next) in service.Zip(service.Skip(1)))
                {
                    next.Token.ShouldBeGreaterThan(old.Token, $"a token went back\n{Story()}");
                    (old.LastAt - next.FirstAt).ShouldBeLessThanOrEqualTo(0, $"overlap in µs\n{Story()}");
                }
            }
        }
    }
}
