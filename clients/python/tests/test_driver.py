"""Whole drivers: what the conformance suite does not ask, because it is about Python."""

import asyncio
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import unittest

from clustd import AsyncDriverMachine, DriverClient, DriverMachine, DriverRefused, Trigger

from .fake_daemon import PATIENCE, SECRET, FakeDaemon

CLIENT = DriverClient(secret=SECRET, id="python-test", stop="best-effort")  # Not for certain: the tests would end with it.

CHILD = """
import ctypes, sys, threading, time
from clustd import DriverClient, DriverMachine
class Driver(DriverMachine):
    def trigger(self, is_master):
        print(f"Master status: {is_master}", flush=True)
"""


class Recording(DriverMachine):
    def __init__(self, host):
        super().__init__(CLIENT, host)
        self.calls: "queue.Queue[Trigger]" = queue.Queue()
        self.lines = []

    def trigger_with(self, trigger):
        self.calls.put(trigger)

    def log(self, level, text):
        self.lines.append((level, text))


def until(condition):
    since = time.monotonic()
    while not condition():
        if time.monotonic() - since > PATIENCE:
            raise TimeoutError("the condition does not come true")
        time.sleep(0.005)


class DriverTests(unittest.TestCase):
    def test_a_with_statement_connects_and_closes(self):
        with FakeDaemon() as daemon:
            with Recording(daemon.url) as driver:
                self.assertTrue(driver.is_connected)
                self.assertEqual(driver.machine, "cm-1")
                self.assertNotIn("error", daemon.trigger(True, 5))
                lease = driver.lease_of()
                self.assertEqual((lease.token, lease.is_valid, lease.ended.is_set()), (5, True, False))
            start, stop = driver.calls.get(timeout=PATIENCE), driver.calls.get(timeout=PATIENCE)
            self.assertEqual((start.is_master, start.service, start.token, start.lease), (True, "default", 5, lease))
            self.assertEqual((stop.is_master, stop.kill, stop.lease), (False, False, lease))
            self.assertTrue(lease.ended.is_set())
            self.assertFalse(lease.is_valid)
            self.assertIsNone(driver.lease_of())
            proof = daemon.heard.get(timeout=PATIENCE)
            self.assertEqual((proof["method"], proof["params"]["token"]), ("stopped", 5))

    def test_a_start_names_those_that_must_be_off_first_and_nonsense_there_is_refused(self):
        # Wrong program: overlooks what it cannot read, and what fences starts without a fence.
        with FakeDaemon() as daemon, Recording(daemon.url) as driver:
            self.assertNotIn("error", daemon.ask(True, 5, takesOverFrom=["cm-2"]).get(timeout=PATIENCE))
            self.assertEqual(driver.calls.get(timeout=PATIENCE).takes_over_from, ("cm-2",))
            for nonsense in ("cm-2", [7], {}):
                self.assertEqual(daemon.ask(True, 6, takesOverFrom=nonsense).get(timeout=PATIENCE)["error"]["code"], -32602)

    def test_a_closed_driver_leaves_no_thread(self):
        def ours():
            return {thread.ident for thread in threading.enumerate() if thread.name.startswith("clustd")}

        before = ours()
        with FakeDaemon() as daemon, Recording(daemon.url):
            daemon.trigger(True, 5)
            self.assertTrue(ours() - before)
        until(lambda: not ours() - before)

    def test_another_secret_is_said_so(self):
        with FakeDaemon() as daemon, self.assertRaisesRegex(DriverRefused, "Use the same secret here as in cluster.secret there"):
            DriverMachine(DriverClient(secret="another", id="x", stop="best-effort"), daemon.url).connect()

    def test_no_daemon_is_waited_for_as_long_as_wanted(self):
        driver = Recording("ws://127.0.0.1:1")
        with self.assertRaisesRegex(TimeoutError, "connection refused"):
            driver.connect(timeout=0.5)
        self.assertEqual(len([line for line in driver.lines if line[0] == "warning"]), 1, "said once, although tried many times")

    # Wrong program: SystemExit in user code ends the thread, and nobody stops what runs.
    def test_whatever_user_code_throws_is_an_answer(self):
        class Failing(Recording):
            def trigger_with(self, trigger):
                if trigger.is_master:
                    sys.exit("the port is taken")

        with FakeDaemon() as daemon, Failing(daemon.url):
            self.assertEqual(daemon.trigger(True, 5)["error"], {"code": -32001, "message": "the port is taken"})
            self.assertNotIn("error", daemon.trigger(False, 5))

    def test_a_log_that_fails_and_one_that_blocks_hold_nothing_up(self):
        class Blocking(Recording):
            def log(self, level, text):
                if level == "info":
                    raise RuntimeError("no disk")
                threading.Event().wait()

        with FakeDaemon() as daemon, Blocking(daemon.url):
            daemon.left_us = 0
            daemon.cut()
            daemon.registrations.get(timeout=PATIENCE)
            daemon.registrations.get(timeout=PATIENCE)
            self.assertNotIn("error", daemon.trigger(False, 5))

    # Wrong program: its worker processes keep the connection of a dead driver open, and the daemon waits for the lease to end.
    def test_a_forked_child_does_not_hold_the_connection(self):
        with FakeDaemon() as daemon:
            code = CHILD + f"""
import os, warnings
warnings.simplefilter("ignore")
driver = Driver(DriverClient(secret={SECRET!r}, id="x"), {daemon.url!r}).connect()
if os.fork() == 0:
    time.sleep(20)
    os._exit(0)
os.kill(os.getpid(), 9)
"""
            closed = threading.Event()
            serve = daemon._serve
            daemon._serve = lambda connection: (serve(connection), closed.set())
            child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
            self.addCleanup(child.wait)
            self.addCleanup(os.killpg, child.pid, signal.SIGKILL)
            daemon.registrations.get(timeout=PATIENCE)
            self.assertTrue(closed.wait(10))


class CertainTests(unittest.TestCase):
    """A process that promised to be gone is gone, whatever it does. Each is a process of its own."""

    def start(self, daemon, code):
        child = subprocess.Popen([sys.executable, "-c", CHILD + code, daemon.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for close in (child.stdout.close, child.stderr.close, child.wait, child.kill):
            self.addCleanup(close)
        self.assertEqual(daemon.registrations.get(timeout=PATIENCE)["stop"], "certain")
        return child

    CONNECT = f"driver = Driver(DriverClient(secret={SECRET!r}, id='x'), sys.argv[1]).connect()\n"

    @unittest.skipUnless(sys.platform.startswith("linux"), "no promise is made here")
    def test_while_python_code_computes_on_every_thread_it_renews_and_then_keeps_its_promise(self):
        with FakeDaemon(lease_us=3_000_000, kill_timeout_us=1_000_000) as daemon:
            child = self.start(daemon, """
class Busy(Driver):
    def trigger(self, is_master):
        super().trigger(is_master)
        if not is_master:
            while True: pass
Driver = Busy
""" + self.CONNECT + "def spin():\n    while True: pass\nfor _ in range(3): threading.Thread(target=spin, daemon=True).start()\nspin()")
            self.assertNotIn("error", daemon.trigger(True, 5))
            time.sleep(4)  # More than a lease: without renewals it would be over.
            self.assertIsNone(child.poll())
            daemon.left_us = 0
            self.assertEqual(child.wait(timeout=PATIENCE), -signal.SIGKILL)
            self.assertEqual(child.stdout.read(), "Master status: True\nMaster status: False\n")

    @unittest.skipUnless(sys.platform.startswith("linux"), "no promise is made here")
    def test_a_stop_that_does_not_return_ends_the_process_and_that_is_said(self):
        with FakeDaemon(kill_timeout_us=1_000_000) as daemon:
            child = self.start(daemon, "class Hanging(Driver):\n    def trigger(self, is_master):\n        is_master or time.sleep(60)\nDriver = Hanging\n" + self.CONNECT + "time.sleep(60)")
            self.assertNotIn("error", daemon.trigger(True, 5))
            daemon.left_us = 0
            self.assertEqual(child.wait(timeout=PATIENCE), -signal.SIGKILL)
            self.assertIn("'default' has not stopped in time", child.stderr.read())

    @unittest.skipUnless(sys.platform.startswith("linux"), "no promise is made here")
    def test_while_c_code_holds_the_gil_the_kernel_keeps_its_promise(self):
        with FakeDaemon(lease_us=2_000_000, kill_timeout_us=500_000) as daemon:
            child = self.start(daemon, self.CONNECT + "while driver.lease_of() is None: time.sleep(0.01)\nctypes.PyDLL(None).sleep(60)")
            daemon.ask(True, 5)
            since = time.monotonic()
            self.assertEqual(child.wait(timeout=PATIENCE), -signal.SIGKILL)
            self.assertLess(time.monotonic() - since, 15)

    def test_run_ends_on_SIGTERM_with_a_stop_that_is_told(self):
        with FakeDaemon() as daemon:
            child = self.start(daemon, f"Driver(DriverClient(secret={SECRET!r}, id='x'), sys.argv[1]).run()\nprint('done')")
            daemon.trigger(True, 5)
            child.send_signal(signal.SIGTERM)
            self.assertEqual(child.wait(timeout=PATIENCE), 0)
            self.assertEqual(child.stdout.read(), "Master status: True\nMaster status: False\ndone\n")
            self.assertEqual(daemon.heard.get(timeout=PATIENCE)["method"], "stopped")


# README.md shows it.
class Worker(AsyncDriverMachine):
    async def trigger_async(self, trigger):
        if trigger.is_master:
            self.task = asyncio.create_task(self.work(trigger.lease))
        elif self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])

    task = None
    loops = set()

    async def work(self, lease):
        self.loops.add(asyncio.get_running_loop())
        while lease.is_valid:
            await asyncio.sleep(0.01)


class AsyncTests(unittest.IsolatedAsyncioTestCase):
    async def test_starts_and_stops_are_coroutines_on_the_loop(self):
        with FakeDaemon() as daemon:
            async with Worker(CLIENT, daemon.url) as worker:
                self.assertNotIn("error", await asyncio.to_thread(daemon.trigger, True, 5))
                task = worker.task
                self.assertFalse(task.done())
            self.assertTrue(task.cancelled())
            self.assertEqual(worker.loops, {asyncio.get_running_loop()})

    # Wrong program: cancels who waits and not the coroutine, so that a stop begins while the start still runs.
    async def test_a_start_that_is_given_up_is_cancelled_and_awaited(self):
        story, begun = [], asyncio.Event()

        class Driver(AsyncDriverMachine):
            async def trigger_async(self, trigger):
                if not trigger.is_master:
                    story.append("stop")
                    return
                begun.set()
                try:
                    await asyncio.sleep(1000)
                except asyncio.CancelledError:
                    await asyncio.sleep(0.1)
                    story.append("start is cancelled")
                    raise

        with FakeDaemon() as daemon:
            async with Driver(CLIENT, daemon.url):
                start = daemon.ask(True, 5)
                await begun.wait()
                self.assertNotIn("error", await asyncio.to_thread(daemon.trigger, False, 5))
                self.assertEqual(start.get(timeout=PATIENCE)["error"]["code"], -32002)
                self.assertEqual(story, ["start is cancelled", "stop"])
