// The benchmarks' own programs beside clustd, compiled ahead of time so that no just-in-time compiler is measured:
//   probe driver HOST SECRET MACHINE PIPE [SERVICES]   a driver in the SDK that says when it is triggered
//   probe etcd ENDPOINT TTL_SECONDS MACHINE PIPE       a session-aware client of etcd that acts while it holds the lock
using System.Globalization;
using Clustd.Benchmarks.Probe;

switch (args)
{
    case ["driver", var host, var secret, var machine, var pipe, .. var rest]:
        await TriggerProbe.RunAsync(host, secret, new LinePipe(pipe), machine, rest is [var services] ? int.Parse(services, CultureInfo.InvariantCulture) : 0);
        return 0;
    case ["etcd", var endpoint, var ttl, var machine, var pipe]:
        await new EtcdHolder(endpoint, int.Parse(ttl, CultureInfo.InvariantCulture), new LinePipe(pipe), machine).RunAsync();
        return 0;
    default:
        Console.Error.WriteLine("usage: probe driver HOST SECRET MACHINE PIPE [SERVICES] | probe etcd ENDPOINT TTL_SECONDS MACHINE PIPE");
        return 2;
}
