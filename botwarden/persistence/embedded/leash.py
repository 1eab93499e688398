"""The app's end of the keeper: says what to run, hears what became of it, and lets go.

The invariant: the write end of the keeper's input is in no other process than this one, so that its end is
the app's end.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import anyio

from botwarden.persistence.embedded import keeper as keeper_program
from botwarden.persistence.embedded.failures import EmbeddedFailure


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A process that the keeper runs, and starts again when it dies while the app lives."""

    name: str
    argv: Sequence[str]
    #: Its whole environment; None: the app's.
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    #: Where its output goes, appended; None: `log/<name>.log` in the data directory.
    log: Path | None = None
    #: User and group to run as; None: the app's.
    owner: tuple[int, int] | None = None
    #: Asks it to end.
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within_s: float = 10.0
    #: Ends it when it did not in time.
    forced_signal: signal.Signals = signal.SIGKILL
    #: Files that a killed predecessor may have left, removed before each start.
    sweep: Sequence[Path] = ()
    #: PostgreSQL's pid file, corrected before each start.
    pid_file: Path | None = None
    #: Runs once and is not started again.
    once: bool = False
    #: The app does not start without it: an error of its own before it is ready ends the start.
    must_start: bool = False


class Leash:
    """A running keeper with its services."""

    def __init__(
        self, process: subprocess.Popen[bytes], report: Callable[[str], None], starting: set[str]
    ) -> None:
        self._process = process
        self._report = report
        #: Services that must start and are not ready yet.
        self._starting = starting
        self._lost = anyio.Event()
        self._unread = b""
        self._releasing = False
        #: Pid of each service that runs.
        self.pids: dict[str, int] = {}
        #: How each service ended each time, oldest first; negative numbers are signals.
        self.ends: dict[str, list[int]] = {}
        asyncio.get_running_loop().add_reader(_open(process.stdout), self._read)

    @classmethod
    def start(
        cls,
        services: Sequence[Service],
        *,
        log_dir: Path,
        lock_fd: int,
        report: Callable[[str], None],
        remove: Sequence[Path] = (),
    ) -> "Leash":
        """Start a keeper with these services; call it from a coroutine.

        Keeper and services hold the file of `lock_fd` open as long as they live. The keeper removes the
        directories of sockets in `remove` when all is over.
        """
        with (log_dir / "keeper.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-IS", keeper_program.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                pass_fds=[lock_fd],
                start_new_session=True,
            )
        leash = cls(process, report, {service.name for service in services if service.must_start})
        spec = {
            "services": [_spec(service, log_dir) for service in services],
            "remove": [str(path) for path in remove],
        }
        _stream(process.stdin).write(json.dumps(spec).encode() + b"\n")
        return leash

    @property
    def keeper_pid(self) -> int:
        """The keeper's process."""
        return self._process.pid

    async def wait_lost(self) -> str:
        """Return, with the reason, once the keeper is gone though nobody let it go."""
        await self._lost.wait()
        return f"The keeper of the servers (process {self.keeper_pid}) is gone; its log tells more."

    async def ended(self, name: str) -> int:
        """Wait for the end of a service that runs once, and return its exit code."""
        while name not in self.ends:
            if self._lost.is_set():
                raise EmbeddedFailure(await self.wait_lost())
            await anyio.sleep(0.005)
        return self.ends[name][-1]

    @property
    def is_lost(self) -> bool:
        """Whether the keeper is gone."""
        return self._lost.is_set()

    def failed_start(self) -> str | None:
        """Return a service that must start and ended with an error instead; to be killed is none."""
        for name in sorted(self._starting):
            if any(code > 0 for code in self.ends.get(name, ())):
                return name
        return None

    def note_ready(self, name: str) -> None:
        """Take note that a service has started: from now on, it is started again whatever it ends with."""
        self._starting.discard(name)

    async def release(self, *, within_s: float = 45.0) -> None:
        """Let go: the keeper stops every service in order. Returns when all are gone."""
        self._releasing = True
        _stream(self._process.stdin).close()
        with anyio.CancelScope(shield=True), anyio.move_on_after(within_s):
            await self._lost.wait()
        if not self._lost.is_set():
            self._report("The servers take long to end; they will end by themselves.")
            asyncio.get_running_loop().remove_reader(_open(self._process.stdout))
        else:
            self._process.wait()
        _stream(self._process.stdout).close()

    def _read(self) -> None:
        piece = os.read(_open(self._process.stdout), 65536)
        if not piece:
            asyncio.get_running_loop().remove_reader(_open(self._process.stdout))
            self._lost.set()
            return
        *lines, self._unread = (self._unread + piece).split(b"\n")
        for line in lines:
            self._hear(json.loads(line))

    def _hear(self, event: dict[str, Any]) -> None:
        name = event["name"]
        if event["event"] == "started":
            self.pids[name] = event["pid"]
            return
        self.pids.pop(name, None)
        self.ends.setdefault(name, []).append(event["code"])
        if event["again_in_s"] is not None and name != self.failed_start():
            self._report(
                f"{name} ended ({_how(event['code'])}); starting it again in {event['again_in_s']:g} s"
            )


def _spec(service: Service, log_dir: Path) -> dict[str, Any]:
    uid, gid = service.owner or (None, None)
    return {
        "name": service.name,
        "argv": list(service.argv),
        "env": None if service.env is None else dict(service.env),
        "cwd": str(service.cwd) if service.cwd else None,
        "log": str(service.log or log_dir / f"{service.name}.log"),
        "uid": uid,
        "gid": gid,
        "stop_signal": int(service.stop_signal),
        "stop_within_s": service.stop_within_s,
        "forced_signal": int(service.forced_signal),
        "sweep": [str(path) for path in service.sweep],
        "pid_file": str(service.pid_file) if service.pid_file else None,
        "once": service.once,
    }


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ValueError("the keeper was started without pipes")
    return stream


def _open(stream: IO[bytes] | None) -> int:
    return _stream(stream).fileno()
