using System.Text;

namespace Clustd.Config;

/// <summary>Writes the file of `clustd init 10.0.0.1 10.0.0.2 10.0.0.3`: one file for all machines, so neither id nor remote_address is in it.</summary>
public static class ConfigWriter
{
    /// <summary>
    /// The text of the file. <paramref name="addresses"/> are "host" or "host:port", with <paramref name="port"/> where none is given. Throws
    /// <see cref="ConfigWriterException"/> with a three-part message if they cannot form a cluster.
    /// </summary>
    public static string Write(IReadOnlyList<string> addresses, string secret, int port = 3001)
    {
        if (addresses.Count == 0) throw new ConfigWriterException("Cannot write a configuration: no address is given. Name all machines: `clustd init 10.0.0.1 10.0.0.2 10.0.0.3`.");
        var machines = new List<MachineAddress>();
        foreach (var text in addresses)
        {
            var machine = MachineAddress.Parse(text, out var why, port) ?? throw new ConfigWriterException($"'{ProblemList.Show(text)}' is not an address: {why}. Write HOST or HOST:PORT.");
            if (machines.Contains(machine)) throw new ConfigWriterException($"{machine} is given twice: a machine counts once. Name each machine once.");
            machines.Add(machine);
        }
        var ports = machines.Select(m => m.Port).Distinct().ToList();
        if (ports.Count > 1)
        {
            throw new ConfigWriterException($"One file cannot serve ports {string.Join(" and ", ports)}: all machines that share it listen on the same bind_port. Give all addresses the same port, or write a file for each machine.");
        }
        return Text(machines, ports[0], secret);
    }

    private static string Text(IReadOnlyList<MachineAddress> machines, int port, string secret)
    {
        var text = new StringBuilder();
        text.Append($"""
            # clustd: this one file serves all machines. Copy it to each as /etc/clustd/config.yml, readable for clustd only (chmod 600).
            # Each machine takes its id from its host name, and its own address is the one in 'machines' that it has.

            """);
        if (port != ConfigKeys.BindPort.Default) text.Append($"server:\n  bind_port: {port}\n");
        text.Append($"cluster:\n  secret: '{secret.Replace("'", "''")}'\n  machines:\n");
        foreach (var machine in machines) text.Append($"    - {machine.ToUrl()}\n");
        text.Append("""
              # lease: 2s            # a machine that is cut off stops within lease + kill_timeout

            # Without 'services' there is one, named default.
            # services:
            #   web:
            #     kill_timeout: 500ms
            #     prefer: []         # host names, the most wanted first

            # drivers:
            #   - shell: { service: web, run: './web --port 8080' }               # a supervised process, killed for sure when the lease is lost
            #   - shell: { service: web, start: ./start.sh, stop: ./stop.sh }     # or scripts

            """);
        return text.ToString();
    }
}

/// <summary>The addresses given cannot form a configuration; the message says what, why and what to do.</summary>
public sealed class ConfigWriterException(string message) : Exception(message);
