namespace Clustd.Drivers.Ocf;

/// <summary>What an action of an agent has come to: OCF resource agent API 1.1, exit codes.</summary>
/// <param name="Code">Its exit code; <see cref="None"/> if it had none.</param>
/// <param name="Reason">What it said about it, or what became of it; may be empty.</param>
internal sealed record OcfExit(int Code, string Reason)
{
    public const int Success = 0, Failed = 1, Unimplemented = 3, NotRunning = 7, RunningPromoted = 8, FailedPromoted = 9;

    /// <summary>It was killed, or could not be run.</summary>
    public const int None = -1;

    public bool IsSuccess => Code == Success;

    /// <summary>A monitor's word that it runs and is well.</summary>
    public bool IsRunning => Code is Success or RunningPromoted;

    /// <summary>A monitor's word that it is neither well nor gone, or no word at all: a stop may mend it. With other codes something else is missing.</summary>
    public bool IsBroken => Code is Failed or FailedPromoted or None;

    /// <summary>"exit code 6 (OCF_ERR_CONFIGURED, the parameters are wrong): Setup problem: ...".</summary>
    public string Sentence
    {
        get
        {
            string code = Code == None ? "" : $"exit code {Code} ({NameOf(Code)})";
            return code.Length == 0 ? Reason : Reason.Length == 0 ? code : $"{code}: {Reason}";
        }
    }

    private static string NameOf(int code) => code switch
    {
        0 => "OCF_SUCCESS",
        1 => "OCF_ERR_GENERIC, it failed",
        2 => "OCF_ERR_ARGS, the parameters do not fit this machine",
        3 => "OCF_ERR_UNIMPLEMENTED, it cannot do that",
        4 => "OCF_ERR_PERM, it lacks rights",
        5 => "OCF_ERR_INSTALLED, what it needs is not installed",
        6 => "OCF_ERR_CONFIGURED, the parameters are wrong",
        7 => "OCF_NOT_RUNNING",
        8 => "OCF_RUNNING_PROMOTED",
        9 => "OCF_FAILED_PROMOTED",
        _ => "no code of OCF",
    };
}
