"""What the daemon tells a driver."""

import threading
from dataclasses import dataclass, field
from typing import Optional, Tuple

from .lease import Lease, Signal


@dataclass(frozen=True)
class Trigger:
    """Start acting for a service, or stop."""

    service: str
    is_master: bool
    """True: this machine is now the master, start. False: stop, and return only when it has stopped."""
    token: int
    """Fencing token of the grant. For a stop: the token of what is to be stopped."""
    reason: str
    """Why, as a sentence."""
    limit: float
    """How long the daemon waits for this call, seconds."""
    kill: bool
    """The lease is over: stop at once. What still runs after `limit` is killed."""
    lease: Optional[Lease]
    """Of a start: what it is granted. Of a stop: what is to be stopped was started under it; None if nothing was started."""
    takes_over_from: Tuple[str, ...] = ()
    """
    Of a start: ids of machines that were lost while they ran the service, or could not stop it, and may still run it. For drivers that fence (`DriverClient.fences`): return only when
    those that you fence are off for certain, and raise if you cannot tell. Empty unless the service requires fencing.
    """
    cancelled: threading.Event = field(default_factory=Signal, repr=False, compare=False)
    """Set during a start when it is to be given up (a stop follows as soon as it returns), and during a planned stop when it has become urgent (it follows again, with `kill`)."""
