"""Driver SDK of clustd: be told when this machine becomes the master of a service, and hold a lease while it is. See README.md."""

from .aio import AsyncDriverMachine
from .client import DriverClient
from .clock import now_us
from .errors import DriverRefused, ReportRefused
from .lease import Lease
from .machine import DriverMachine
from .trigger import Trigger

__all__ = ["AsyncDriverMachine", "DriverClient", "DriverMachine", "DriverRefused", "Lease", "ReportRefused", "Trigger", "now_us"]
__version__ = "0.1.0"
