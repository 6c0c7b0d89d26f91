namespace Clustd.Drivers.Vip;

/// <summary>Takes addresses away when no guard has them: what a former life has left, and what a killed guard could not.</summary>
internal static class AddressCleaning
{
    // Whoever adds it in a loop would keep us here for ever otherwise.
    private const int TriesMax = 5;

    /// <summary>Null: none is left. Else which, and why.</summary>
    /// <param name="onlyOurs">Leave those that have not our mark, and say nothing of them.</param>
    public static string? Remove(IReadOnlyList<VipAddress> addresses, string device, bool onlyOurs)
    {
        using var kernel = new InterfaceAddresses();
        using var gate = new AddressGate(addresses, device);
        bool isClean = !kernel.Find(addresses).Any(each => each.IsOurs || !onlyOurs);
        // First: one step for all, that no lock of the network's configuration holds up. There may be none.
        if (!isClean) gate.Close();
        string? left = null;
        for (int i = 0; i < TriesMax && (left = AddressHolder.Remove(kernel, addresses, onlyOurs)) is not null; i++) Thread.Sleep(1);
        if (left is null) gate.Remove();
        return left;
    }
}
