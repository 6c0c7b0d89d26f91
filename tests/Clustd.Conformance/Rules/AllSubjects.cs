using Xunit;

namespace Clustd.Conformance.Rules;

// Every rule for every SDK. Classes and not theories: each class is a collection of its own, and those run beside each other; and one SDK's can be run alone.

[Trait("sdk", "csharp")]
public sealed class CSharpProofRules() : ProofRules("csharp");

[Trait("sdk", "csharp")]
public sealed class CSharpConnectionRules() : ConnectionRules("csharp");

[Trait("sdk", "csharp")]
public sealed class CSharpRegisterRules() : RegisterRules("csharp");

[Trait("sdk", "csharp")]
public sealed class CSharpLeaseRules() : LeaseRules("csharp");

[Trait("sdk", "csharp")]
public sealed class CSharpTriggerRules() : TriggerRules("csharp");

[Trait("sdk", "csharp")]
public sealed class CSharpStopRules() : StopRules("csharp");

[Trait("sdk", "csharp")]
public sealed class CSharpReportRules() : ReportRules("csharp");

[Trait("sdk", "python")]
public sealed class PythonProofRules() : ProofRules("python");

[Trait("sdk", "python")]
public sealed class PythonConnectionRules() : ConnectionRules("python");

[Trait("sdk", "python")]
public sealed class PythonRegisterRules() : RegisterRules("python");

[Trait("sdk", "python")]
public sealed class PythonLeaseRules() : LeaseRules("python");

[Trait("sdk", "python")]
public sealed class PythonTriggerRules() : TriggerRules("python");

[Trait("sdk", "python")]
public sealed class PythonStopRules() : StopRules("python");

[Trait("sdk", "python")]
public sealed class PythonReportRules() : ReportRules("python");

[Trait("sdk", "typescript")]
public sealed class TypeScriptProofRules() : ProofRules("typescript");

[Trait("sdk", "typescript")]
public sealed class TypeScriptConnectionRules() : ConnectionRules("typescript");

[Trait("sdk", "typescript")]
public sealed class TypeScriptRegisterRules() : RegisterRules("typescript");

[Trait("sdk", "typescript")]
public sealed class TypeScriptLeaseRules() : LeaseRules("typescript");

[Trait("sdk", "typescript")]
public sealed class TypeScriptTriggerRules() : TriggerRules("typescript");

[Trait("sdk", "typescript")]
public sealed class TypeScriptStopRules() : StopRules("typescript");

[Trait("sdk", "typescript")]
public sealed class TypeScriptReportRules() : ReportRules("typescript");
