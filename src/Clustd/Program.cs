// First, before anything of the daemon is loaded: the guard must start fast and stay small.
if (args is ["guard", ..]) return Clustd.Guard.GuardProgram.Run(args[1..]);
return 0;
