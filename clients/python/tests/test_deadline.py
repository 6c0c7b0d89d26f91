"""The deadline that the kernel keeps: what a driver that stops for certain stands on. Each case is a process of its own, which is expected to be ended."""

import signal
import subprocess
import sys
import time
import unittest

PREFIX = """
import ctypes, os, sys, time
from clustd.clock import now_us
from clustd.deadline import KernelDeadline
deadline = KernelDeadline(now_us)
print("ready", flush=True)
"""


@unittest.skipUnless(sys.platform.startswith("linux"), "there is no such timer here")
class KernelDeadlineTests(unittest.TestCase):
    def run_code(self, code, then=None):
        process = subprocess.Popen([sys.executable, "-c", PREFIX + code], stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), "ready\n")
        if then is not None:
            then(process)
        said = process.stdout.read()
        return process.wait(timeout=30), said

    # Wrong program: a watchdog that is a thread. Nothing of Python runs while C code holds the GIL.
    def test_it_ends_a_process_whose_gil_is_held_by_c_code(self):
        code, said = self.run_code("deadline.set(now_us() + 200_000)\nctypes.PyDLL(None).sleep(20)\nprint('survived')")
        self.assertEqual((code, said), (-signal.SIGKILL, ""))

    def test_it_ends_a_process_that_computes(self):
        code, _ = self.run_code("deadline.set(now_us() + 200_000)\nuntil = time.monotonic() + 20\nwhile time.monotonic() < until: pass")
        self.assertEqual(code, -signal.SIGKILL)

    def test_it_ends_a_process_that_was_stopped(self):
        def stop(process):
            self.assertEqual(process.stdout.readline(), "set\n")
            process.send_signal(signal.SIGSTOP)

        code, _ = self.run_code("deadline.set(now_us() + 1_000_000)\nprint('set', flush=True)\ntime.sleep(20)", stop)
        self.assertEqual(code, -signal.SIGKILL)

    def test_what_is_past_is_due_at_once(self):
        code, _ = self.run_code("deadline.set(now_us() - 5)\ntime.sleep(20)")
        self.assertEqual(code, -signal.SIGKILL)

    def test_it_can_be_moved_and_called_off(self):
        since = time.monotonic()
        code, said = self.run_code("deadline.set(now_us() + 20_000_000)\nfor _ in range(50):\n    deadline.set(now_us() + 300_000)\n    time.sleep(0.01)\ndeadline.set(None)\ntime.sleep(0.5)\nprint('survived')")
        self.assertEqual((code, said), (0, "survived\n"))
        self.assertLess(time.monotonic() - since, 20)

    def test_a_child_has_no_part_in_it(self):
        code, said = self.run_code(
            "deadline.set(now_us() + 400_000)\nif os.fork() == 0:\n    deadline.set(None)\n    time.sleep(0.8)\n    print('the child survived', flush=True)\n    os._exit(0)\ntime.sleep(20)"
        )
        self.assertEqual((code, said), (-signal.SIGKILL, "the child survived\n"))
