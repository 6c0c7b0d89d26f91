/* The app of the benchmarks: acts every millisecond for as long as it lives. An act is one line into a pipe that all machines share, so the kernel
 * puts all acts into one order. C and not a script: linked statically it starts in less than a millisecond, so that the times measured are not its own.
 * Its token is the one that it is given, or else, for tools that know none, the instant of its start, which grows as well. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const char *or_else(const char *value, const char *otherwise) { return value && *value ? value : otherwise; }

int main(void)
{
    struct timespec now, pause = { 0, 1000000 };
    char own[32], act[256];
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(own, sizeof own, "%lld", (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    int length = snprintf(act, sizeof act, "%s %s %s %d\n", or_else(getenv("CLUSTD_SERVICE"), "default"), or_else(getenv("CLUSTD_MACHINE"), "?"),
                          or_else(getenv("CLUSTD_TOKEN"), own), (int)getpid());
    int acts = open(or_else(getenv("E2E_ACTS"), "acts"), O_WRONLY | O_CLOEXEC);
    if (acts < 0 || length >= (int)sizeof act) return 1;
    while (write(acts, act, length) == length) nanosleep(&pause, 0);
    return 1;
}
