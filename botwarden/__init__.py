"""botwarden keeps thousands of trading bots alive in one process."""

__version__ = "0.1.0"
