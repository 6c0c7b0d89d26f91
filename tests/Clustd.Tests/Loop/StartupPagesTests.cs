using Shouldly;
using Xunit;

namespace Clustd.Tests.Loop;

public sealed class StartupPagesTests
{
    // Catches: dropping relocated data, which would come back as the file has it, without the relocations: a crash.
    [Fact]
    public void Only_pages_that_the_file_still_has_are_let_go()
    {
        string[] smaps =
        [
            "55d0c0000000-55d0c0900000 r--p 00000000 fe:00 1835 /usr/lib/clustd/clustd", "Rss:  8896 kB", "Anonymous:             0 kB", "AnonHugePages:         0 kB",
            "55d0c0900000-55d0c1200000 r-xp 00900000 fe:00 1835 /usr/lib/clustd/clustd", "Anonymous:             0 kB",
            "55d0c1200000-55d0c1240000 r--p 01200000 fe:00 1835 /usr/lib/clustd/clustd", "Anonymous:            12 kB",
            "55d0c1240000-55d0c1280000 rw-p 01240000 fe:00 1835 /usr/lib/clustd/clustd", "Anonymous:             0 kB",
            "7f1000000000-7f1000001000 r--s 00000000 fe:00 77 /dev/shm/shared", "Anonymous:             0 kB",
            "7f2000000000-7f2000001000 r--p 00000000 00:00 0 ", "Anonymous:             0 kB",
            "7ffc00000000-7ffc00002000 r-xp 00000000 00:00 0 [vdso]", "Anonymous:             0 kB",
        ];
        StartupPages.Droppable(smaps).Select(each => ((long)each.Start, (long)each.End)).ShouldBe([(0x55d0c0000000, 0x55d0c0900000), (0x55d0c0900000, 0x55d0c1200000)]);
    }

    [Fact]
    public void This_very_process_goes_on_without_them()
    {
        StartupPages.Release().ShouldBeGreaterThan(0);
        Enumerable.Range(0, 1000).Select(number => number.ToString("x4")).Distinct().Count().ShouldBe(1000);
    }
}
