"""The embedded PostgreSQL: its cluster, its command line, and when it is ready.

A cluster appears whole or not at all: it is made beside its place and renamed.
"""

import shutil
import signal
from pathlib import Path

from botwarden.persistence.embedded.binaries import PostgresBinaries
from botwarden.persistence.embedded.failures import EmbeddedFailure
from botwarden.persistence.embedded.leash import Service

NAME = "postgresql"
#: Superuser and database of the app.
USER = DATABASE = "botwarden"

_ENV = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # A replica that dies frees its locks at once, even in the middle of a statement.
    "client_connection_check_interval": "500ms",
}

#: For tests: a power failure may lose everything.
_FAST = {"fsync": "off", "full_page_writes": "off", "autovacuum_naptime": "1h"}


def check_version(home: Path, binaries: PostgresBinaries) -> bool:
    """Tell whether there is a cluster already. Raises `EmbeddedFailure` when another release made it."""
    mark = home / "data/PG_VERSION"
    if not mark.exists():
        return False
    major = mark.read_text().strip()
    if major != binaries.major:
        raise EmbeddedFailure(
            f"{home / 'data'} was made by PostgreSQL {major}, and {binaries.major} is installed: dump it "
            "with the botwarden that made it (`botwarden backup`), then restore it into a new directory."
        )
    return True


def making(binaries: PostgresBinaries, home: Path, owner: tuple[int, int] | None, *, fast: bool) -> Service:
    """Return the service, run once, that makes a cluster at `data.new`; its password is read from a file."""
    draft = home / "data.new"
    shutil.rmtree(draft, ignore_errors=True)
    return Service(
        name="initdb",
        argv=[
            str(binaries.bin / "initdb"),
            f"--pgdata={draft}",
            f"--username={USER}",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--auth=scram-sha-256",
            f"--pwfile={home / 'pwfile'}",
            *(["--no-sync"] if fast else []),
        ],
        env=_ENV,
        cwd=home,
        owner=owner,
        once=True,
    )


def running(
    binaries: PostgresBinaries, home: Path, sockets: Path, owner: tuple[int, int] | None, *, fast: bool
) -> Service:
    """Return the server."""
    settings = _SETTINGS | {"unix_socket_directories": str(sockets)} | (_FAST if fast else {})
    return Service(
        name=NAME,
        argv=[
            str(binaries.bin / "postgres"),
            "-D",
            str(home / "data"),
            *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
        ],
        env=_ENV,
        cwd=home,
        owner=owner,
        # The fast stop: sessions are ended, nothing is lost. Never SIGKILL: it skips the last checkpoint.
        stop_signal=signal.SIGINT,
        stop_within_s=20.0,
        forced_signal=signal.SIGQUIT,
        sweep=[sockets / ".s.PGSQL.5432", sockets / ".s.PGSQL.5432.lock"],
        pid_file=home / "data/postmaster.pid",
    )


def is_ready(home: Path, pid: int | None) -> bool:
    """Tell whether the server with this pid takes connections. Source: PostgreSQL's pidfile.h."""
    try:
        lines = (home / "data/postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"
