"""How a driver presents itself, and where its daemon is."""

import os
import secrets
import sys
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Optional, Sequence
from urllib.parse import urlsplit

_PROGRAM = os.path.splitext(os.path.basename(sys.argv[0] if sys.argv and sys.argv[0] not in ("", "-c", "-m") else "driver"))[0] or "driver"


@dataclass(frozen=True)
class DriverClient:
    """How a driver presents itself to the daemon. Times are seconds."""

    secret: str = field(repr=False)
    """The cluster's secret. It is proven, never sent."""

    id: str = field(default_factory=lambda: f"{_PROGRAM}-{secrets.token_hex(4)}")
    """Shown in `clustd status` and in logs. Default: program and eight hex digits."""

    name: Optional[str] = None
    """The daemon lets one instance per machine and name be active. Default: the id, or the program if there is no id."""

    services: Sequence[str] = ()
    """The services to be triggered for; none: the cluster's default service."""

    order: int = 0
    """Drivers of a service start in ascending order, and stop in descending order."""

    required: bool = False
    """Said for people to see; what makes a driver required is the configuration."""

    stop: Literal["certain", "best-effort"] = "certain"
    """What the driver promises about its stops. `certain`: this process is ended by SIGKILL when a stop has not returned shortly before the deadline."""

    stop_timeout: Optional[float] = None
    """How long a planned stop may take; None: what the service allows. The daemon refuses a driver that needs more."""

    kill_timeout: Optional[float] = None
    """How long a stop needs when the lease is over; None: what the service allows. The daemon refuses a driver that needs more."""

    fences: Sequence[str] = ()
    """Ids of the machines that this driver can turn off. For services that require fencing it is told before all other drivers, and `Trigger.takes_over_from` names those that must be off before it returns."""

    def __post_init__(self) -> None:
        if not self.secret:
            raise ValueError("Cannot make a driver without a secret: the daemon would refuse it. Set secret to the value of cluster.secret.")
        if self.stop not in ("certain", "best-effort"):
            raise ValueError(f"Cannot make a driver with stop={self.stop!r}: it is not a promise that clustd knows. Say 'certain' or 'best-effort'.")
        for name, listed in (("services", self.services), ("fences", self.fences)):
            if isinstance(listed, str):
                raise ValueError(f"Cannot make a driver with {name}={listed!r}: that is one text, and a list is needed. Say [{listed!r}].")

    @property
    def effective_name(self) -> str:
        """The name that the daemon is told."""
        if self.name is not None:
            return self.name
        is_default = self.id.startswith(_PROGRAM + "-") and len(self.id) == len(_PROGRAM) + 9
        return _PROGRAM if is_default else self.id


class DaemonAddress(NamedTuple):
    """Where a daemon listens."""

    host: str
    port: int
    path: str

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> DaemonAddress:
    """`ws://127.0.0.1:3001`, with or without a path, or just `127.0.0.1:3001`."""

    def refused(why: str) -> ValueError:
        return ValueError(f"Cannot use '{text}' as the address of a daemon: {why}. Write it like ws://127.0.0.1:3001.")

    try:
        parts = urlsplit(text if "://" in text else "ws://" + text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise refused(str(error)) from None
    if parts.scheme == "wss":
        raise refused("TLS is not supported for drivers, which belong on the daemon's own machine")
    if parts.scheme != "ws":
        raise refused(f"the scheme '{parts.scheme}' is unknown")
    if not host or any(character <= " " for character in text):
        raise refused("that is not an address")
    path = parts.path if parts.path not in ("", "/") else "/v1/driver"
    return DaemonAddress(host, port or 3001, path + (f"?{parts.query}" if parts.query else ""))
