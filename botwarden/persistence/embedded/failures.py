"""What can keep the embedded servers from running; each message tells a person what to do."""

from pathlib import Path

from botwarden.errors import Refused, Unavailable


class DataDirBusy(Refused):
    """Another process uses this data directory."""

    def __init__(self, path: Path, pid: int) -> None:
        super().__init__(
            f"{path} is in use by process {pid}. Stop that one, or choose another directory with --data-dir."
        )
        self.pid = pid


class EmbeddedFailure(Unavailable):
    """An embedded server cannot run."""
