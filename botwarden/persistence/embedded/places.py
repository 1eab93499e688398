"""Where things are in the data directory, who may go there, and who holds it.

    lock            held by the app, the keeper and every server until all are gone; names the app's pid
    run.json        how commands reach what runs now (secrets inside, 0600)
    password        of the database's superuser
    postgresql/     data: the cluster; data.new: one in the making
    valkey/         its configuration
    sockets-*/      private to the servers' user
    log/            one file per service
    binaries-*/     copies, where the servers' user cannot reach the installed ones

The invariant: only what lies inside the data directory is ever created, changed or given away.
"""

import fcntl
import json
import os
import secrets
import stat
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botwarden.persistence.embedded.failures import DataDirBusy, EmbeddedFailure

#: Longest path of a unix socket (Linux 107, macOS 103), less `/.s.PGSQL.5432`, the longest name in it.
_LONGEST_SOCKET_DIR = 103 - len("/.s.PGSQL.5432")


def default_data_dir(
    env: Mapping[str, str], *, root: bool | None = None, platform: str = sys.platform
) -> Path:
    """Return where `up` keeps its data when nobody says otherwise."""
    if os.geteuid() == 0 if root is None else root:
        return Path("/var/lib/botwarden")
    home = Path(env.get("HOME") or Path.home())
    if platform == "darwin":
        return home / "Library/Application Support/botwarden"
    return Path(env.get("XDG_DATA_HOME") or home / ".local/share") / "botwarden"


def claim_data_dir(path: Path) -> Path:
    """Make `path` a data directory if it is none yet, and return it, absolute and without detours.

    Raises:
        EmbeddedFailure: it cannot be made, or it is something else.
    """
    path = path.expanduser()
    try:
        path = path.resolve()
        path.mkdir(parents=True, exist_ok=True)
        marked = (path / "lock").exists()
        if not marked and any(path.iterdir()):
            raise EmbeddedFailure(
                f"{path} is neither empty nor a data directory of botwarden; choose another with --data-dir."
            )
        if not marked:
            # Servers started by root run as another user, who must be able to pass through.
            path.chmod(0o711 if os.geteuid() == 0 else 0o700)
            os.close(os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise EmbeddedFailure(f"{path} cannot be used as data directory: {error.strerror}.") from error
    return path


class DataDirLock:
    """The lock of a data directory; the descriptor is handed on to the keeper and its servers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)

    def take(self) -> bool:
        """Take the lock and tell true; false while servers of an app that is gone are still ending.

        Raises:
            DataDirBusy: the app that holds it is alive.
        """
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(self.fd)
            if holder is not None and is_alive(holder):
                raise DataDirBusy(self.path, holder) from None
            return False
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, f"{os.getpid()}\n".encode(), 0)
        return True

    def close(self) -> None:
        """Let go of it; it is free when the servers have let go as well."""
        os.close(self.fd)


def holder_of(path: Path) -> int | None:
    """Return the pid of the living app that holds the data directory."""
    try:
        fd = os.open(path / "lock", os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _holder(fd)
        return holder if holder is not None and is_alive(holder) else None
    finally:
        os.close(fd)
    return None


def _holder(fd: int) -> int | None:
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else None


def is_alive(pid: int) -> bool:
    """Tell whether a process of that number runs; a zombie does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return True


def write_private(path: Path, text: str, *, owner: tuple[int, int] | None = None) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        if owner is not None:
            os.fchown(file.fileno(), *owner)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def private_dir(path: Path, owner: tuple[int, int] | None) -> Path:
    """Make a directory that only the servers' user enters."""
    path.mkdir(mode=0o700, exist_ok=True)
    if owner is not None:
        os.chown(path, *owner)
    return path


def socket_dir(base: Path, owner: tuple[int, int] | None) -> Path:
    """Make a new private directory whose name is short enough for sockets.

    A new one for each start, so that a dying server of the last one cannot remove what is not its own.
    """
    for old in base.glob("sockets-*"):
        for entry in old.iterdir():
            entry.unlink()
        old.rmdir()
    path = base / f"sockets-{secrets.token_hex(2)}"
    if len(os.fsencode(path)) > _LONGEST_SOCKET_DIR:
        path = Path(tempfile.mkdtemp(prefix="botwarden-", dir=_temporary(owner)))
    return private_dir(path, owner)


def _temporary(owner: tuple[int, int] | None) -> str:
    temporary = tempfile.gettempdir()
    if len(os.fsencode(temporary)) > _LONGEST_SOCKET_DIR - 20 or closed_parent(Path(temporary), owner):
        return "/tmp"  # noqa: S108 - the directory made in it is private
    return temporary


def closed_parent(path: Path, owner: tuple[int, int] | None) -> Path | None:
    """Return the first directory on the way to `path`, or itself, that the servers' user cannot pass."""
    if owner is None:
        return None
    uid, gid = owner
    for directory in reversed([path, *path.parents]):
        found = directory.stat()
        shift = 6 if found.st_uid == uid else 3 if found.st_gid == gid else 0
        if not stat.S_IMODE(found.st_mode) >> shift & stat.S_IXOTH:
            return directory
    return None


def read_run_file(path: Path) -> dict[str, Any] | None:
    """Return how to reach what runs on this data directory, or None when nothing does."""
    if holder_of(path) is None:
        return None
    try:
        found: dict[str, Any] = json.loads((path / "run.json").read_text())
    except (OSError, ValueError):
        return None
    return found
