using Clustd.Cli;

// First, before anything of the daemon is loaded: the guard must start fast and stay small, and so must the demo's service.
if (args is ["guard", ..]) return Clustd.Guard.GuardProgram.Run(args[1..]);
if (args is [Clustd.Demo.DemoService.Word, ..]) return Clustd.Demo.DemoService.Run(args[1..]);
return await CommandLine.RunAsync(args, Terminal.OfThisProcess());
