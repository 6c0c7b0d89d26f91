"""The triggers of one service: one at a time, in order, level-triggered. User code runs on a thread of its own."""

import threading
from typing import Any, Callable, List, Optional, Protocol, Tuple

from .lease import Lease, Signal
from .rpc import INVALID_PARAMS, NO_LEASE, SHUTTING_DOWN, TRIGGER_CANCELLED, TRIGGER_FAILED, TRIGGER_SUPERSEDED, Json, Reply, RpcError
from .trigger import Trigger

_REPLIES_MAX = 16  # A daemon waits for one; more come only from a peer gone wrong, and must not fill memory.
_LIMIT_US_MAX = 2**60
_LEASE_WAIT_MIN = 0.02  # Seconds between requests for a lease, of one start that waits for it.
_LEASE_WAIT_MAX = 0.32


class Host(Protocol):
    """What a service's triggers need from around them."""

    gate: Any  # The driver's one lock. No user code runs under it.

    def now_us(self) -> int: ...
    def run(self, trigger: Trigger) -> None: ...
    def holds_lease(self) -> bool: ...
    def lease_ends_at_us(self) -> Optional[int]: ...
    def lease_wanted(self) -> None: ...
    def deadlines_changed(self) -> None: ...
    def log(self, level: str, text: str) -> None: ...


class Call:
    """One call of user code, waiting or in flight, and everyone who waits for it. Guarded by the gate."""

    def __init__(self, service: str, is_master: bool, token: int, reason: str, sequence: int, limit_us: int, kill: bool, reply: Reply, takes_over_from: Tuple[str, ...] = ()) -> None:
        self.takes_over_from = takes_over_from
        self.service, self.is_master, self.token, self.reason, self.sequence = service, is_master, token, reason, sequence
        self.limit_us, self.kill = max(0, min(limit_us, _LIMIT_US_MAX)), kill
        self.cancelled = Signal()
        self.lacks_lease = False  # The lease was over before it could begin.
        self.has_begun = False  # User code runs, or is about to. Before, a start only waits for its lease.
        self._replies = [reply]

    def joins(self, other: "Call") -> bool:
        """Whether this does what `other` asks for. A planned stop is not the stop that cannot wait, and a cancelled call is none."""
        return not self.cancelled.is_set() and other.is_master == self.is_master and other.token == self.token and (self.kill or not other.kill)

    def join(self, other: "Call") -> None:
        self.token, self.kill = max(self.token, other.token), self.kill or other.kill
        self.reason, self.sequence, self.limit_us, self.takes_over_from = other.reason, other.sequence, other.limit_us, other.takes_over_from
        for reply in other._replies:
            if len(self._replies) == _REPLIES_MAX:
                self._replies.pop(0)(RpcError(TRIGGER_SUPERSEDED, "The same trigger was sent again, many times; the last ones are answered."))
            self._replies.append(reply)

    def reply(self, error: Optional[RpcError]) -> None:
        replies, self._replies = self._replies, []
        for reply in replies:
            reply(error)


def kill_margin(limit_us: int) -> int:
    """What the end of the process itself may take, off a limit after which everything must be gone."""
    return max(0, min(limit_us // 10, 50_000))


class ServiceTriggers:
    """See above. All that has no `with` is called under the gate."""

    def __init__(self, service: str, host: Host) -> None:
        self.service = service
        self.running: Optional[int] = None  # Token of what may be running: from the moment a start begins until a stop has succeeded.
        self.lease: Optional[Lease] = None  # Of the newest start, until a stop has succeeded.
        self.kill_at: Optional[int] = None  # When what is running must be gone; None while nobody has said so.
        self.kill_slack = 0  # How much later than that the kernel strikes.
        self._host = host
        self._changed = threading.Condition(host.gate)
        # At most one stop, then at most one start. A stop is never dropped; a start that has not begun is, for whatever comes after it.
        self._pending: List[Call] = []
        self._current: Optional[Call] = None
        self._acknowledged: Optional[Tuple[bool, int]] = None  # What user code last completed without error.
        # A start that user code failed and that was not stopped since. Its answer may be lost: told again, it is answered again, not run on top of what it left half done.
        self._failed_start: Optional[Tuple[int, RpcError]] = None
        self._highest_token: Optional[int] = None
        self._closing = False
        self._ended = False
        threading.Thread(target=self._work, name=f"clustd {service}", daemon=True).start()

    @property
    def state(self) -> Optional[Json]:
        """What to tell a daemon on reconnection; None if nothing was ever begun."""
        if self.running is not None:
            unsettled = self._acknowledged != (True, self.running) or any(not call.is_master for call in self._pending)
            return {"service": self.service, "isMaster": True, "token": self.running, "unsettled": unsettled}
        if self._acknowledged is not None and not self._acknowledged[0]:
            return {"service": self.service, "isMaster": False, "token": self._acknowledged[1]}
        return None

    def tell(self, call: Call) -> None:
        """Takes a trigger of the daemon."""
        if call.is_master and self._closing:
            call.reply(RpcError(SHUTTING_DOWN, f"'{self.service}' was not started: this driver is shutting down. Start it again, or let another machine take over."))
            return
        if call.is_master and self._highest_token is not None and call.token < self._highest_token:
            call.reply(RpcError(INVALID_PARAMS, f"'{self.service}' was not started: token {call.token} is older than {self._highest_token}, seen before. Restart the driver if the cluster was made anew."))
            return
        if call.is_master:
            self._highest_token = call.token
        else:
            self._end_lease(call.kill)
        limit, kill = call.limit_us, call.kill
        self._enqueue(call)
        if kill and not call.is_master:
            self._stop_by(self._host.now_us() + limit - kill_margin(limit), kill_margin(limit) // 2)

    def cancel(self, sequence: int) -> None:
        """Cancels the start that the daemon numbered so, begun or not."""
        if self._current is not None and self._current.is_master and self._current.sequence == sequence:
            if self.lease is not None and self._current.has_begun:
                self.lease._stop()
            self._cancel_current()
        self._drop_starts(lambda start: start.sequence == sequence, TRIGGER_CANCELLED, "was cancelled before it began")

    def stop_now(self, reason: str, kill: bool, kill_at: Optional[int], kill_slack: int, reply: Callable[[Optional[RpcError], int], None]) -> bool:
        """Stops what may be running, without being told by the daemon. False: nothing is running, so there will be no reply."""
        self._end_lease(kill)
        if self._current is not None and self._current.is_master:
            self._current.lacks_lease = kill and not self._current.has_begun
            self._cancel_current()
        self._drop_starts(lambda start: True, NO_LEASE if kill else TRIGGER_CANCELLED, "was cancelled: " + reason)
        if self.running is None:
            return False
        token = self.running
        limit = max(0, kill_at - self._host.now_us()) if kill_at is not None else 0
        # Its number is not the daemon's: no cancel can name it.
        self._enqueue(Call(self.service, False, token, reason, -1, limit, kill, lambda error: reply(error, token)))
        if kill_at is not None:
            self._stop_by(kill_at, kill_slack)
        return True

    def connection_lost(self) -> None:
        """
        Starts that have not begun are forgotten (the daemon says them again), everything else goes on. One that waits for its lease has not begun either: the next
        registration says that nothing runs, so nothing may start behind its back.
        """
        if self._current is not None and self._current.is_master and not self._current.has_begun:
            self._cancel_current()
        self._drop_starts(lambda start: True, TRIGGER_SUPERSEDED, "was forgotten: the connection was lost")

    def lease_changed(self) -> None:
        """A start may be waiting for it."""
        if self._current is not None and not self._current.has_begun:
            self._changed.notify_all()

    def close_to_starts(self) -> None:
        self._closing = True
        if self.lease is not None:
            self.lease._stop()
        if self._current is not None and self._current.is_master:
            self._cancel_current()
        self._drop_starts(lambda start: True, SHUTTING_DOWN, "was not begun: this driver is shutting down")

    def end(self) -> None:
        """Ends the thread after the call in flight."""
        self._ended = True
        self._changed.notify_all()

    def _end_lease(self, kill: bool) -> None:
        # A planned stop lets work in hand be finished under the lease, one that cannot wait does not.
        if self.lease is not None:
            self.lease._end() if kill else self.lease._stop()

    def _enqueue(self, call: Call) -> None:
        if not self._pending and self._current is not None and self._current.joins(call):
            self._current.join(call)
            return
        # Whatever comes makes a start that has not begun pointless, unless it is that start again.
        if self._pending and self._pending[-1].is_master and self._pending[-1].joins(call):
            self._pending[-1].join(call)
            return
        self._drop_starts(lambda start: True, TRIGGER_SUPERSEDED, "was overtaken by a newer trigger")
        if not call.is_master and self._pending:
            self._pending[-1].join(call)  # Stops merge: one call stops whatever token it was.
        else:
            self._pending.append(call)
        # A start makes way for a stop; a planned stop makes way for one that cannot wait.
        if not call.is_master and self._current is not None and (self._current.is_master or (call.kill and not self._current.kill)):
            self._cancel_current()
        self._changed.notify_all()

    def _cancel_current(self) -> None:
        if self._current is not None and not self._current.cancelled.is_set():
            self._current.cancelled.set()
            self._changed.notify_all()

    def _drop_starts(self, which: Callable[[Call], bool], code: int, how: str) -> None:
        for call in [call for call in self._pending if call.is_master and which(call)]:
            self._pending.remove(call)
            call.reply(RpcError(code, f"The start of '{self.service}' {how}."))

    def _stop_by(self, at: int, slack: int) -> None:
        # Deadlines only ever come closer: somebody counts on the earliest.
        if self.running is not None and (self.kill_at is None or at < self.kill_at):
            self.kill_at, self.kill_slack = at, slack
            self._host.deadlines_changed()

    def _work(self) -> None:
        while True:
            with self._host.gate:
                while not self._pending and not self._ended:
                    self._changed.wait()
                if not self._pending:
                    return
                call = self._pending.pop(0)
                if not self._prepare(call):
                    continue
                lease = self.lease
            error = self._run(call, lease)
            with self._host.gate:
                self._finish(call, error)

    def _prepare(self, call: Call) -> bool:
        if self._acknowledged == (call.is_master, call.token):
            call.reply(None)  # Level-triggered: said again, nothing to do.
            return False
        if call.is_master and self._failed_start is not None and self._failed_start[0] == call.token:
            call.reply(self._failed_start[1])
            return False
        self._current = call
        if call.is_master and not self._await_lease(call):
            self._current = None
            call.reply(
                RpcError(TRIGGER_CANCELLED, f"The start of '{self.service}' was cancelled before it began.")
                if call.cancelled.is_set() and not call.lacks_lease
                else RpcError(NO_LEASE, "The start was not begun: this driver holds no lease, because the daemon has not answered its renewals. Check the load of the machine and the daemon's log.")
            )
            return False
        call.has_begun = True
        self._acknowledged = None
        if call.is_master:
            self.running = call.token
            if self.lease is not None:
                self.lease._end()
            self.lease = Lease(self.service, call.token, self._host.lease_ends_at_us, self._host.now_us)
            self._failed_start = None
            self._host.deadlines_changed()  # Before anything can run.
        return True

    def _await_lease(self, call: Call) -> bool:
        # Gives the gate up while waiting. A start may only begin under a lease: nobody else would stop it.
        until = self._host.now_us() + (call.limit_us or 5_000_000)
        patience = _LEASE_WAIT_MIN
        while not call.cancelled.is_set() and not self._ended:
            if self._host.holds_lease():
                return True
            if self._host.now_us() >= until:
                return False
            self._host.lease_wanted()
            self._changed.wait(patience)
            patience = min(patience * 2, _LEASE_WAIT_MAX)
        return False

    def _run(self, call: Call, lease: Optional[Lease]) -> Optional[RpcError]:
        what = "start" if call.is_master else "stop"
        cancelled = RpcError(TRIGGER_CANCELLED, f"The {what} of '{self.service}' was cancelled.")
        try:
            self._host.run(Trigger(call.service, call.is_master, call.token, call.reason, call.limit_us / 1e6, call.kill, lease, call.takes_over_from, call.cancelled))
            return cancelled if call.is_master and call.cancelled.is_set() else None
        except BaseException as error:  # Whatever user code throws, SystemExit included: it has not happened, and the thread must live on to be told to stop.
            if call.cancelled.is_set() and (call.is_master or isinstance(error, InterruptedError)):
                return cancelled
            text = str(error) or type(error).__name__
            self._host.log("error", f"{'Starting' if call.is_master else 'Stopping'} '{self.service}' failed: {type(error).__name__}: {text} The daemon is told; correct the driver.")
            return RpcError(TRIGGER_FAILED, text)

    def _finish(self, call: Call, error: Optional[RpcError]) -> None:
        self._current = None
        if error is None:
            self._acknowledged = (call.is_master, call.token)
            if not call.is_master:
                self.running = self.kill_at = self._failed_start = None
                if self.lease is not None:
                    self.lease._end()
                self.lease = None
                self._host.deadlines_changed()
        elif call.is_master:
            if self.lease is not None:
                self.lease._stop()
            if error.code == TRIGGER_FAILED:
                self._failed_start = (call.token, error)
        call.reply(error)
