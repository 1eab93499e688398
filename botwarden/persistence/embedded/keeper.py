"""The keeper: a process that runs the servers for as long as the app lives, and not a moment longer.

    app ── pipe only the app can write ──> keeper's stdin     one line: what to run; EOF: the app is gone
    app <── one JSON line per event ────── keeper's stdout    EOF: the keeper is gone
                                             │ fork
                               postgres   valkey   paper exchange ...

However the app dies, the kernel closes the pipe, and the keeper stops every service in order and reaps it.
A service that dies while the app lives is started again. Should the keeper itself be killed, the kernel
signals its children (Linux). It is run as a file (`python -IS keeper.py`), so it imports nothing of the
package; it has one thread, because the kernel's signal on a parent's death means the parent's *thread*.

The invariant: no service outlives the app, and none is started twice at a time.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
#: A service that lived this long was well: its next pause is the first again.
WELL_AFTER_S = 2.0

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


class Keeper:
    """Starts, restarts and stops the services of one specification."""

    def __init__(self, services: list[dict[str, Any]]) -> None:
        self.kept = [Kept(service) for service in services]
        self.leaving = False

    def run(self) -> None:
        """Keep every service until the app is gone, or until none is left to keep."""
        wake = _wake_on_signals()
        while any(kept.pid or kept.due_at is not None for kept in self.kept):
            now = time.monotonic()
            for kept in self.kept:
                kept.attend(now, leaving=self.leaving)
            watched = [wake] if self.leaving else [wake, 0]
            readable, _, _ = select.select(watched, [], [], self._pause(time.monotonic()))
            if 0 in readable and not os.read(0, 4096):
                self.leaving = True
                for kept in self.kept:
                    kept.leave(time.monotonic())
            if wake in readable:
                os.read(wake, 4096)
            self._reap()

    def _pause(self, now: float) -> float | None:
        times = [at for kept in self.kept for at in (kept.due_at, kept.forced_at) if at is not None]
        return max(0.0, min(times) - now) if times else None

    def _reap(self) -> None:
        """Collect every child that ended, also those that dead services left to us."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for kept in self.kept:
                if kept.pid == pid:
                    kept.ended(os.waitstatus_to_exitcode(status), time.monotonic(), leaving=self.leaving)


class Kept:
    """One service, running or to be started."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.pid = 0
        self.started_at = 0.0
        self.pause_s = FIRST_PAUSE_S
        #: When to start it; None while it runs or when it is not to be started again.
        self.due_at: float | None = 0.0
        #: When its orderly stop has taken too long.
        self.forced_at: float | None = None

    def attend(self, now: float, *, leaving: bool) -> None:
        """Do what is due."""
        if not leaving and self.due_at is not None and self.due_at <= now:
            self.due_at = None
            self._start(now)
        if self.forced_at is not None and self.forced_at <= now:
            self.forced_at = None
            self._signal(self.spec["forced_signal"])

    def leave(self, now: float) -> None:
        """Begin the orderly stop."""
        self.due_at = None
        if self.pid:
            self.forced_at = now + self.spec["stop_within_s"]
            self._signal(self.spec["stop_signal"])

    def ended(self, code: int, now: float, *, leaving: bool) -> None:
        """Take note of its end, and of when it is to be started again."""
        self.pid, self.forced_at = 0, None
        again_in_s = None
        if not leaving and not self.spec["once"]:
            again_in_s = FIRST_PAUSE_S if now - self.started_at >= WELL_AFTER_S else self.pause_s
            self.pause_s = min(again_in_s * 2, LONGEST_PAUSE_S)
            self.due_at = now + again_in_s
        _tell(event="ended", name=self.spec["name"], code=code, again_in_s=again_in_s)

    def _start(self, now: float) -> None:
        for path in self.spec["sweep"]:
            Path(path).unlink(missing_ok=True)
        if self.spec["pid_file"]:
            disown(Path(self.spec["pid_file"]))
        self.started_at = now
        keeper = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _become(self.spec, keeper)
        _tell(event="started", name=self.spec["name"], pid=self.pid)

    def _signal(self, number: int) -> None:
        if self.pid:
            os.kill(self.pid, number)


def disown(pid_file: Path) -> None:
    """Make a PostgreSQL pid file say that its process is gone, when the number belongs to another by now.

    PostgreSQL refuses to start while a process of that number exists, be it a stranger or a zombie. Removing
    the file would also remove the guard against old backends that still hold the shared memory; so only
    the number is changed, to the one of the starter's parent, which PostgreSQL knows cannot be a server.
    """
    try:
        first, *rest = pid_file.read_text().split("\n")
        pid = abs(int(first))
    except (FileNotFoundError, ValueError):
        return
    if _exists(pid) and not _is_server_of(pid, pid_file.parent):
        pid_file.write_text("\n".join([str(os.getpid()), *rest]))


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_server_of(pid: int, home: Path) -> bool:
    """Tell whether a living postgres works in that directory; a zombie has none."""
    if not sys.platform.startswith("linux"):
        with os.popen(f"ps -o command= -p {pid}") as shown:  # noqa: S605 - the only word in it is a number
            command = shown.read()
        return "postgres" in command and str(home) in command
    try:
        return home.samefile(f"/proc/{pid}/cwd")
    except OSError:
        return False


def _become(spec: dict[str, Any], keeper: int) -> None:
    """Turn this forked child into the service."""
    try:
        log = os.open(spec["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        if spec["cwd"]:
            os.chdir(spec["cwd"])
        if spec["uid"] is not None:
            os.setgroups([])
            os.setgid(spec["gid"])
            os.setuid(spec["uid"])
        if sys.platform.startswith("linux"):
            _libc().prctl(_PR_SET_PDEATHSIG, spec["stop_signal"])
            if os.getppid() != keeper:
                os._exit(1)
        env = os.environ if spec["env"] is None else spec["env"]
        os.execvpe(spec["argv"][0], spec["argv"], env)  # noqa: S606 - that is the point
    except BaseException as error:  # noqa: BLE001 - a forked child must never return into the keeper's loop
        os.write(2, f"{spec['name']}: {error}\n".encode())
        os._exit(127)


def _wake_on_signals() -> int:
    """Return a descriptor that is readable after a child's end; be deaf to what a terminal sends.

    Handlers, unlike ignored signals, are not passed on to the services.
    """
    wake, woken = os.pipe()
    for end in (wake, woken):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, _pass)
    return wake


def _pass(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the loop has been woken."""


def _tell(**event: Any) -> None:
    """Tell the app; when it is gone or does not listen, the word is lost."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(event).encode() + b"\n")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def _read_spec() -> dict[str, Any] | None:
    """Return what to run, or None when the app was gone before it had said so."""
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(0, 65536)
        if not piece:
            return None
        line += piece
    spec: dict[str, Any] = json.loads(line)
    return spec


def main() -> None:
    """Keep what the first line of the input names."""
    spec = _read_spec()
    if spec is None:
        return
    os.set_blocking(1, False)
    if sys.platform.startswith("linux"):
        _libc().prctl(_PR_SET_CHILD_SUBREAPER, 1)
    Keeper(spec["services"]).run()
    for path in spec["remove"]:
        _remove(Path(path))


def _remove(directory: Path) -> None:
    """Remove a directory of sockets; whoever was faster is welcome."""
    with contextlib.suppress(OSError):
        for entry in directory.iterdir():
            entry.unlink()
        directory.rmdir()


if __name__ == "__main__":
    main()
