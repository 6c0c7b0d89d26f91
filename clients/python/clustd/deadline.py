"""
The deadline of a driver that stops for certain, kept by the kernel.

A thread of Python cannot keep it alone: it runs only when it gets the GIL. Pure Python gives that up every 5 ms, but one call into C code that holds it (a long
regular expression, an extension that computes) stops all threads for as long as it takes. So the kernel is told beforehand, with every renewal: a POSIX timer whose
expiry sends SIGKILL to this process. It needs no thread, no GIL and no second process, strikes a process that was stopped as well, and is neither inherited by a
child nor kept by a program that replaces this one. A forked watchdog was set aside: a fork of a process with threads is fragile, and it would have to be watched in turn.
"""

import ctypes
import ctypes.util
import os
import signal
import sys
from typing import Callable, Optional

_CLOCK_BOOTTIME = 7  # As the driver's clock it counts the time asleep. That it is slewed does not matter: the timer is set anew with every renewal.
_SIGEV_SIGNAL = 0
_DAY_US = 86_400_000_000


class _SigEvent(ctypes.Structure):
    _fields_ = [("value", ctypes.c_void_p), ("signal", ctypes.c_int), ("notify", ctypes.c_int), ("rest", ctypes.c_char * 48)]


class _TimeSpec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _TimerSpec(ctypes.Structure):
    _fields_ = [("interval", _TimeSpec), ("value", _TimeSpec)]


class KernelDeadline:
    """Ends this process with SIGKILL at an instant, unless told otherwise in time. Not for two threads at once."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        """Raises OSError where there is no such timer."""
        self._now_us = now_us
        self._at: Optional[int] = None
        if not sys.platform.startswith("linux"):
            raise OSError(f"{sys.platform} has no timer that ends a process")
        self._libc = _libc_with_timers()
        self._timer = ctypes.c_void_p()
        event = _SigEvent(None, signal.SIGKILL, _SIGEV_SIGNAL)
        self._check(self._libc.timer_create(_CLOCK_BOOTTIME, ctypes.byref(event), ctypes.byref(self._timer)))
        self._pid = os.getpid()

    def set(self, at_us: Optional[int]) -> None:
        """When the process ends, on the driver's clock; None: not at all."""
        if at_us == self._at or os.getpid() != self._pid:
            return  # A child of a fork has no such timer, and is not what the deadline is about.
        self._at = at_us
        spec = _TimerSpec()
        if at_us is not None:
            # Zero would switch it off: what is past is due at once.
            left = max(1, min(at_us - self._now_us(), 10_000 * _DAY_US))
            spec.value = _TimeSpec(left // 1_000_000, left % 1_000_000 * 1_000)
        self._check(self._libc.timer_settime(self._timer, 0, ctypes.byref(spec), None))

    def close(self) -> None:
        """Nothing can be running any more."""
        self.set(None)
        self._libc.timer_delete(self._timer)

    @staticmethod
    def _check(result: int) -> None:
        if result != 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))


def _libc_with_timers() -> ctypes.CDLL:
    # Until glibc 2.34 they were in a library of their own.
    for name in (None, "librt.so.1"):
        library = ctypes.CDLL(name, use_errno=True)
        if hasattr(library, "timer_create"):
            return library
    raise OSError("this C library has no timer_create")
