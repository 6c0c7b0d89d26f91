"""What can go wrong, for whoever uses the SDK."""


class DriverRefused(Exception):
    """The daemon refuses this driver, or could not be trusted. The text says what happened, why, and what to do."""


class ReportRefused(Exception):
    """The daemon did not take a report."""
