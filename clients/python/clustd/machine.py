"""The base of a driver."""

import signal
import sys
import threading
import uuid
from types import TracebackType
from typing import Any, Optional, Type, TypeVar

from . import rpc
from .client import DriverClient, parse_address
from .connection import DriverConnection
from .lease import Lease
from .trigger import Trigger

_Self = TypeVar("_Self", bound="DriverMachine")
_STOP_SECONDS = 10.0  # As a service's stop_timeout.


class DriverMachine:
    """
    Base of a driver: connects to the local daemon, is told when this machine becomes the master of a service and when it stops being so, and stops by itself when its
    lease runs out. Override `trigger` or `trigger_with`, then `connect` or `run`.

    Calls for one service come one at a time, in order, on a thread of its own; a driver that has just connected is told its state at once, False included. A lost
    connection calls nothing: the driver reconnects, and stops only when the lease is over.
    """

    def __init__(self, client: DriverClient, host: str = "ws://127.0.0.1:3001") -> None:
        self.client = client
        self.host = host
        self.instance = uuid.uuid4().hex
        """Random, new with every object: by it the daemon tells a reconnect from a second copy."""
        self._address = parse_address(host)
        self._gate = threading.Lock()
        self._connection: Optional[DriverConnection] = None
        self._closed = threading.Event()

    # To be overridden.

    def trigger(self, is_master: bool) -> None:
        """The simple way: True, this machine is the master, start; False, stop, and return only when it has stopped."""

    def trigger_with(self, trigger: Trigger) -> None:
        """
        Start or stop. Return only when it has happened: the daemon waits for it, and a stop that returns lets another machine start. An exception is reported to
        the daemon with its text. By default calls `trigger(is_master)`. When `trigger.cancelled` is set, give up: return, or raise InterruptedError.
        """
        self.trigger(trigger.is_master)

    def log(self, level: str, text: str) -> None:
        """What the SDK has to say; `level` is debug, info, warning or error. By default warnings and errors go to stderr."""
        if level in ("warning", "error"):
            print(f"clustd: {text}", file=sys.stderr, flush=True)

    # To be called.

    @property
    def machine(self) -> Optional[str]:
        """Id of the machine; None until first registered."""
        return self._connection.machine_id if self._connection is not None else None

    @property
    def is_connected(self) -> bool:
        """Whether the daemon is connected and has registered this driver. A lost connection ends nothing: the lease does."""
        return self._connection is not None and self._connection.is_connected

    def lease_of(self, service: Optional[str] = None) -> Optional[Lease]:
        """What this driver was granted for a service (None: the only one) that it was started for, until a stop has succeeded; None while there is nothing of the kind."""
        return self._connection.lease_of(service) if self._connection is not None else None

    def connect(self: _Self, timeout: Optional[float] = None) -> _Self:
        """
        Connects and returns once registered; a daemon that is not there yet is waited for. Afterwards the driver reconnects by itself for ever. Its threads do not
        keep the program alive: wait for something, or use `run`. Raises DriverRefused if the secrets differ, or if the daemon refuses this driver for good;
        TimeoutError after `timeout` seconds, and the driver is closed then.
        """
        with self._gate:
            if self._closed.is_set():
                raise RuntimeError("Cannot connect: the driver was closed. Make a new one.")
            if self._connection is None or self._connection.first_error is not None:  # Refused: the reason may have been removed since.
                self._connection = DriverConnection(self, self._address)
            connection = self._connection
        try:
            connection.await_registration(timeout)
        except (TimeoutError, KeyboardInterrupt):
            self.close()
            raise
        return self

    def run(self) -> None:
        """Connects and stays, until `close` is called elsewhere, or Ctrl-C or (in the main thread) SIGTERM says so; then stops what runs, and disconnects."""
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._interrupt)
        try:
            self.connect()
            while not self._closed.wait(3600):
                pass
        except KeyboardInterrupt:
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Stops what runs, tells the daemon so (the next master starts in milliseconds), and disconnects."""
        with self._gate:
            if self._closed.is_set():
                return
            self._closed.set()
            connection = self._connection
        if connection is not None:
            connection.shut_down(self.client.stop_timeout or _STOP_SECONDS)

    def report_failed(self, service: str, reason: str, timeout: Optional[float] = None) -> None:
        """
        Reports that what was running for a service has failed by itself: the daemon demotes it and lets another machine try. Returns when the daemon has taken it,
        or when that is not running any more. Not from within a trigger: raise there.
        """
        connection = self._connected("failed")
        token = connection.running_token(service)

        def params() -> Optional[rpc.Json]:
            still = token is not None and connection.running_token(service) == token
            return {"service": service, "token": token, "reason": rpc.cut(reason)} if still else None

        connection.report("failed", params, timeout)

    def report_health(self, service: str, ok: bool, detail: str = "", timeout: Optional[float] = None) -> None:
        """Reports how a service is doing here. Returns when the daemon has taken it."""
        params = {"service": service, "ok": ok, "detail": rpc.cut(detail)}
        self._connected("health").report("health", lambda: params, timeout)

    def report_event(self, level: str, text: str, timeout: Optional[float] = None) -> None:
        """Adds a line to the cluster's event history; `level` is debug, info, warning or error. Returns when the daemon has taken it."""
        params = {"level": level, "text": rpc.cut(text)}
        self._connected("event").report("event", lambda: params, timeout)

    def __enter__(self: _Self) -> _Self:
        return self.connect()

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def _connected(self, method: str) -> DriverConnection:
        if self._connection is None:
            raise RuntimeError(f"Cannot report '{method}': the driver was never connected. Call connect first.")
        return self._connection

    @staticmethod
    def _interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt
