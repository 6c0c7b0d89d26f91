"""The clock that leases are counted on, microseconds."""

import sys
import time

COUNTS_SLEEP: bool = sys.platform.startswith("linux")
"""Whether the clock runs on while the machine sleeps."""

if COUNTS_SLEEP:
    # MONOTONIC_RAW + (BOOTTIME - MONOTONIC): counts sleep, is not slewed by NTP, and is the same in every process of the machine.
    def _asleep_ns() -> int:
        # BOOTTIME first: being preempted between the two makes the difference too small for once, never too large, and a clock that ran ahead for a
        # moment would make a stamp look younger than it is.
        boot = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        return boot - time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    # Time spent asleep since boot. It only grows, and each measurement can only be too small: the largest seen is the best. Two threads that write at once
    # can lose the larger one for a moment, by less than a preemption, and towards too small.
    _asleep = max(_asleep_ns() for _ in range(8))

    def now_us() -> int:
        """Now, microseconds since an arbitrary start. Read it after an input was taken from its queue, never before: the process may freeze in between."""
        global _asleep
        asleep = _asleep_ns()
        if asleep > _asleep:
            _asleep = asleep
        return (time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW) + _asleep) // 1_000

else:

    def now_us() -> int:
        """Now, microseconds since an arbitrary start. Stands still while the machine sleeps: a driver here says that it stops by best effort only."""
        return time.monotonic_ns() // 1_000
