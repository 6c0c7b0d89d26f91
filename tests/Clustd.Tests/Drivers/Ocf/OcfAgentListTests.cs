using System.Text.RegularExpressions;
using Clustd.Drivers.Ocf;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Drivers.Ocf;

/// <summary>The list of agents, against the agents of the installed package: what each calls of Pacemaker is looked up again.</summary>
public sealed partial class OcfAgentListTests
{
    private const string Agents = "/usr/lib/ocf/resource.d/heartbeat", Libraries = "/usr/lib/ocf/lib/heartbeat";

    // Functions of the agents' shell library, and the tool of Pacemaker behind each.
    private static readonly Dictionary<string, string> Behind = new()
    {
        ["ocf_promotion_score"] = "crm_attribute", ["crm_mon_no_validation"] = "crm_mon", ["ocf_attribute_target"] = "crm_node",
    };

    [Fact] // Wrong program: an agent that a newer package has made dependent on Pacemaker is still said to work.
    public void No_agent_that_is_said_to_work_calls_anything_of_Pacemaker()
    {
        SkipWithoutPackage();
        var wrong = OcfAgentList.Working.Where(name => File.Exists(Path.Combine(Agents, name))).Where(name => ToolsOf(name).Count > 0 || IsPromotable(name))
            .Select(name => $"{name}: {string.Join(", ", ToolsOf(name))}{(IsPromotable(name) ? " promotable" : "")}");
        wrong.ShouldBeEmpty();
    }

    [Fact]
    public void Every_refusal_names_what_the_agent_calls()
    {
        SkipWithoutPackage(ofTheList: true);
        foreach (var (name, reason) in OcfAgentList.Refused)
        {
            if (!File.Exists(Path.Combine(Agents, name))) continue;
            foreach (string tool in ToolsOf(name)) reason.ShouldContain(tool, customMessage: name);
            reason.Contains("promotable").ShouldBe(IsPromotable(name), name);
            reason.Contains("of Pacemaker").ShouldBe(ToolsOf(name).Count > 0, name);
        }
    }

    [Fact] // Wrong program: an agent of the package is forgotten, and its users are asked to examine it themselves.
    public void Every_agent_of_the_package_is_in_the_list()
    {
        SkipWithoutPackage(ofTheList: true);
        Directory.EnumerateFiles(Agents).Select(path => Path.GetFileName(path)!).Where(name => name[0] != '.')
            .Where(name => !OcfAgentList.Has(new OcfAgentName("heartbeat", name))).ShouldBeEmpty();
    }

    [Fact]
    public void The_list_has_reasons_and_both_kinds()
    {
        OcfAgentList.Working.ShouldContain("IPaddr2");
        OcfAgentList.WhyNot(new("heartbeat", "galera")).ShouldNotBeNull().ShouldContain("crm_attribute");
        OcfAgentList.WhyNot(new("linbit", "galera")).ShouldBeNull();
        OcfAgentList.Refused.ShouldAllBe(pair => pair.Value.Length > 10);
    }

    // Another version has other agents: that is news for who maintains the list, and no failure of the program.
    private static void SkipWithoutPackage(bool ofTheList = false)
    {
        Assert.SkipUnless(Directory.Exists(Agents), "the package resource-agents is not installed");
        if (!ofTheList) return;
        using var dpkg = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("/usr/bin/env", ["dpkg-query", "-W", "-f", "${Version}", "resource-agents"]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        string version = dpkg.StandardOutput.ReadToEnd();
        dpkg.WaitForExit();
        Assert.SkipUnless(version == "1:4.12.0-2", $"the list is of resource-agents 1:4.12.0-2, and here is '{version}'");
    }

    private static bool IsPromotable(string agent) => File.ReadAllText(Path.Combine(Agents, agent)).Contains("<action name=\"promote\"");

    private static SortedSet<string> ToolsOf(string agent)
    {
        string code = CodeOf(Path.Combine(Agents, agent));
        // Not ocf-shellfuncs: everybody sources it; which of its functions are called is seen here.
        var files = Library().Matches(code).Select(match => Path.Combine(Libraries, match.Value)).Distinct().Where(File.Exists);
        string all = string.Join('\n', files.Select(CodeOf).Prepend(code));
        return [.. Tool().Matches(all).Select(match => Behind.GetValueOrDefault(match.Groups["tool"].Value, match.Groups["tool"].Value))];
    }

    // Without comments and without the meta-data, which are texts.
    private static string CodeOf(string path) => Comment().Replace(Metadata().Replace(File.ReadAllText(path), ""), "");

    [GeneratedRegex(@"(?<![\w./-])(\$\{?HA_SBIN_DIR\}?/|/usr/sbin/)?(?<tool>crm_(attribute|master|node|resource|mon|simulate|failcount|standby|mon_no_validation)|crmadmin|attrd_updater|cibadmin|stonith_admin|ocf_promotion_score|ocf_attribute_target)(?![\w.=-])")]
    private static partial Regex Tool();

    [GeneratedRegex(@"\b[a-z-]+\.sh\b")]
    private static partial Regex Library();

    [GeneratedRegex(@"<\?xml.*?</resource-agent>", RegexOptions.Singleline)]
    private static partial Regex Metadata();

    [GeneratedRegex(@"^[ \t]*#.*$|[ \t]#[ \t].*$", RegexOptions.Multiline)]
    private static partial Regex Comment();
}
