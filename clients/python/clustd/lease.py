"""The lease: when it ends, when it is renewed, and what a start is handed of it."""

import enum
import math
import threading
from typing import Callable, List, Optional

UNANSWERED_MAX = 64
"""More unanswered stamps than this and the connection is given up long before; the oldest are then forgotten, their answers ignored."""

LEASE_US_MAX = 2**62


class DriverLease:
    """
    When the driver's lease ends, by its own clock. Pure: no I/O, time comes in. The driver sends a stamp; the daemon answers how much of the machine's lease was
    left when it answered; the driver is safe until stamp + left. It counts from when it ASKED, so however late the answer is read, the driver stops first.
    """

    def __init__(self) -> None:
        self.ends_at: Optional[int] = None  # On the driver's clock, microseconds; None while none was ever granted. May lie in the past.
        self._unanswered: List[int] = []  # Strictly ascending, all later than the last that was answered.
        self._last_sent: Optional[int] = None
        self._last_answered: Optional[int] = None

    @property
    def oldest_unanswered(self) -> Optional[int]:
        return self._unanswered[0] if self._unanswered else None

    def is_valid(self, now: int) -> bool:
        return self.ends_at is not None and now < self.ends_at

    def left_at(self, now: int) -> int:
        return self.ends_at - now if self.ends_at is not None and self.ends_at > now else 0

    def sent(self, stamp: int) -> bool:
        """Records that a stamp goes out. False: it is not later than the one before, so it must not be sent."""
        if self._last_sent is not None and stamp <= self._last_sent:
            return False
        self._last_sent = stamp
        if len(self._unanswered) == UNANSWERED_MAX:
            del self._unanswered[0]
        self._unanswered.append(stamp)
        return True

    def answered(self, stamp: int, left: Optional[int], now: int, shortens: bool = False) -> bool:
        """
        Takes the answer to a stamp. `left`: what was left; 0: there is none, stop; None: the daemon cannot tell yet, what was granted before stays. Answers to
        unknown or older stamps are ignored. The end never moves back, unless the daemon says that this one takes the place of a longer one. True: the end changed.
        """
        if stamp not in self._unanswered or (self._last_answered is not None and stamp <= self._last_answered):
            return False
        self._last_answered = stamp
        del self._unanswered[: self._unanswered.index(stamp) + 1]
        if left is None:
            return False
        if left <= 0:
            if not self.is_valid(now):
                return False
            self.ends_at = now
            return True
        end = stamp + min(left, LEASE_US_MAX)
        if self.ends_at is not None and (end == self.ends_at or (end < self.ends_at and not shortens)):
            return False  # A promise once made stays: an answer that was merely slow must not cost a moment of the lease.
        self.ends_at = end
        return True

    def connection_lost(self) -> None:
        """What was asked on the connection will not be answered. The lease itself stays."""
        self._unanswered.clear()


class Due(enum.Flag):
    NOTHING = 0
    RENEW = 1
    OVER = 2
    RECONNECT = 4


class LeaseWatch:
    """When a driver renews its lease, when it is over, and when a silent daemon is given up. Pure, like `DriverLease`."""

    def __init__(self) -> None:
        self.lease = DriverLease()
        self.kill_timeout_us = 0
        self._over_reported: Optional[int] = None  # The end that OVER was said for.
        self._connected = False
        self._renew_every = 0
        self._answer_limit = 0
        self._renew_at_asked = 0
        self._renewed_at = 0

    def connected(self, lease_us: int, renew_every_us: int, kill_timeout_us: int, now: int) -> None:
        """A connection is registered: renew at once."""
        self._connected = True
        self._renew_every = renew_every_us
        # Half a lease: late enough to forgive a stalled daemon, early enough to reconnect before the lease is over.
        self._answer_limit = max(2 * renew_every_us, lease_us // 2)
        # A lease that lasts was given under the old limit, and others count on that: until it is over, a new limit can only be shorter.
        self.kill_timeout_us = min(self.kill_timeout_us, kill_timeout_us) if self._lasts else kill_timeout_us
        self._renew_at_asked = now

    def disconnected(self) -> None:
        self._connected = False
        self.lease.connection_lost()

    def renew_soon(self, now: int) -> None:
        self._renew_at_asked = min(self._renew_at_asked, now)

    def due(self, now: int) -> Due:
        due = Due.NOTHING
        if self._lasts and self.lease.ends_at is not None and now >= self.lease.ends_at:
            self._over_reported = self.lease.ends_at
            due |= Due.OVER
        if not self._connected:
            return due
        asked = self.lease.oldest_unanswered
        if asked is not None and now - asked >= self._answer_limit:
            return due | Due.RECONNECT
        if now >= self._renew_at and self.lease.sent(now):
            self._renewed_at = now
            self._renew_at_asked = now + self._renew_every
            due |= Due.RENEW
        return due

    def next_at(self) -> Optional[int]:
        """When `due` should be asked again, at the latest; None: when something happens."""
        times = [self.lease.ends_at] if self._lasts else []
        if self._connected:
            times.append(self._renew_at)
            if self.lease.oldest_unanswered is not None:
                times.append(self.lease.oldest_unanswered + self._answer_limit)
        return min((at for at in times if at is not None), default=None)

    @property
    def _lasts(self) -> bool:
        return self.lease.ends_at is not None and self._over_reported != self.lease.ends_at

    @property
    def _renew_at(self) -> int:
        # While less than half a lease is left, eight times as often: the daemon may have just got a longer lease, and must be asked before this one is over.
        if self._lasts and self.lease.ends_at is not None and self.lease.ends_at - self._renewed_at < 2 * self._renew_every:
            return min(self._renew_at_asked, self._renewed_at + self._renew_every // 8)
        return self._renew_at_asked


class Signal(threading.Event):
    """An event that is set once, and can tell somebody."""

    def __init__(self) -> None:
        super().__init__()
        self._watchers: List[Callable[[], None]] = []

    def when_set(self, watcher: Callable[[], None]) -> None:
        """Calls `watcher` when it is set, or now. On the thread that sets it: it must return at once, and not fail."""
        self._watchers.append(watcher)
        if self.is_set():
            self._tell()

    def set(self) -> None:
        super().set()
        self._tell()

    def _tell(self) -> None:
        while self._watchers:
            try:
                watcher = self._watchers.pop()
            except IndexError:
                return  # Another thread was faster.
            watcher()


class Lease:
    """
    What a start was granted: the right to act as master of one service, for as long as `is_valid` says so. Every start gets a new one. May be read from any
    thread, as often as wanted: no lock is taken.

    What no lease can do is to reach into the gap between a check and the act that follows it: a process frozen there acts late, once. Hand `token` to the
    resources you write to, and let them refuse an older one.
    """

    def __init__(self, service: str, token: int, ends_at_us: Callable[[], Optional[int]], now_us: Callable[[], int]) -> None:
        self.service = service
        self.token = token
        """Fencing token of the grant: grows with every grant of the service and is never reused."""
        self.ended: threading.Event = Signal()
        """Set when the driver is to stop: lease over, planned move, start given up or failed, shutdown. It stays set."""
        self._ends_at_us = ends_at_us
        self._now_us = now_us
        self._is_over = False

    @property
    def is_valid(self) -> bool:
        """May I act now? By the clock at this very moment. True during a planned stop, so that work in hand can be finished."""
        return self._remaining_us() > 0

    @property
    def remaining(self) -> float:
        """Seconds that are left unless it is renewed; 0 when nothing is."""
        return self._remaining_us() / 1e6

    def _remaining_us(self) -> int:
        # What ended it is looked at last, the clock before that: whatever happens meanwhile makes the answer smaller.
        end = self._ends_at_us()
        now = self._now_us()
        return 0 if self._is_over or end is None or end <= now else end - now

    def _stop(self) -> None:
        self.ended.set()

    def _end(self) -> None:
        self._is_over = True
        self.ended.set()


def microseconds(seconds: Optional[float]) -> Optional[int]:
    """As the protocol has it."""
    return None if seconds is None else math.floor(seconds * 1e6)
