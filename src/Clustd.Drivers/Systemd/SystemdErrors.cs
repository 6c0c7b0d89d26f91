using Tmds.DBus.Protocol;

namespace Clustd.Drivers.Systemd;

/// <summary>What the bus and systemd say when something goes wrong, as people need it: what happened; why; what to do.</summary>
internal static class SystemdErrors
{
    private const string NoSuchUnit = "org.freedesktop.systemd1.NoSuchUnit";

    public static DriverFailedException Of(Exception e, string address, string? unit)
    {
        string what = unit is null ? "Cannot talk to systemd" : $"systemd does not do it with {unit}";
        if (e is not DBusErrorReplyException reply)
            return new DriverFailedException($"Cannot talk to systemd over D-Bus ({address}): {Inner(e)}. Is dbus installed and running (`systemctl status dbus.socket`)?", e);
        string said = reply.ErrorMessage.TrimEnd('.');
        return new DriverFailedException(reply.ErrorName switch
        {
            NoSuchUnit => $"There is no unit {unit}: {said}. `systemctl list-unit-files` shows what there is; correct `units`.",
            "org.freedesktop.systemd1.UnitMasked" => Masked(unit),
            "org.freedesktop.DBus.Error.AccessDenied" or "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired" or "org.freedesktop.DBus.Error.AuthFailed" =>
                $"{what}: {Environment.UserName} may not ({said}). Run `clustd drivers` as root, or allow it the action org.freedesktop.systemd1.manage-units by a rule of polkit.",
            "org.freedesktop.DBus.Error.ServiceUnknown" or "org.freedesktop.DBus.Error.NameHasNoOwner" or "org.freedesktop.DBus.Error.Spawn.ExecFailed" =>
                $"There is no systemd on the bus {address}: {said}. Is this machine run by systemd (`ps -p 1`), and is it the right `bus`?",
            "org.freedesktop.systemd1.TransactionIsDestructive" or "org.freedesktop.systemd1.TransactionJobsConflicting" =>
                $"{what}: another job is in its way ({said}). See `systemctl list-jobs`.",
            _ => $"{what}: {said} ({reply.ErrorName}). See `systemctl status {unit}` and `journalctl -u {unit}`.",
        }, e);
    }

    public static string Masked(string? unit) => $"{unit} is masked: systemd does not start it for anybody. `systemctl unmask {unit}`.";

    public static DriverFailedException Lost(string address) =>
        new($"The connection to systemd was lost ({address}): dbus or systemd has ended or was restarted. It is opened again with the next call; see `journalctl -u dbus`.");

    public static DriverFailedException Silent(string address, TimeSpan limit) =>
        new($"systemd does not answer on {address}: nothing came within {limit.TotalSeconds:0.###} s. See whether `systemctl list-jobs` answers.");

    public static bool IsNoSuchUnit(DriverFailedException e) => e.InnerException is DBusErrorReplyException { ErrorName: NoSuchUnit };

    private static string Inner(Exception e)
    {
        while (e.InnerException is not null) e = e.InnerException;
        return e.Message.TrimEnd('.');
    }
}
