"""Starts the embedded servers, tells how to reach them, and stops them.

The order: claim and lock the data directory, find binaries, make the cluster the first time, run everything
under one keeper, wait until each server answers. Whatever fails on the way, nothing keeps running.
"""

import json
import os
import pwd
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import asyncpg

from botwarden.persistence.embedded import postgresql, valkey
from botwarden.persistence.embedded.binaries import (
    PostgresBinaries,
    find_postgres,
    find_valkey,
    reachable_postgres,
    reachable_valkey,
)
from botwarden.persistence.embedded.failures import EmbeddedFailure
from botwarden.persistence.embedded.leash import Leash, Service
from botwarden.persistence.embedded.places import (
    DataDirLock,
    claim_data_dir,
    closed_parent,
    private_dir,
    socket_dir,
    write_private,
)

#: A server that dies this often before it answers will not answer.
_GIVE_UP_AFTER_ENDS = 5
#: Recovery after a crash may take its time; past this something else is wrong.
_READY_WITHIN_S = 600.0
_FREE_WITHIN_S = 60.0
_LONGEST_LOG_BYTES = 10_000_000
#: Whom servers run as when root starts them: initdb wants an entry in the list of users.
_UNPRIVILEGED = ("nobody", "daemon")


class EmbeddedServers:
    """PostgreSQL and Valkey, running, with whatever else was put under their keeper."""

    def __init__(
        self, ground: "Ground", leash: Leash, *, database_url: str, redis_url: str, started_first_time: bool
    ) -> None:
        self.data_dir = ground.base
        self.database_url = database_url
        self.redis_url = redis_url
        #: Whether this start made the database.
        self.started_first_time = started_first_time
        self._ground = ground
        self._leash = leash

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        data_dir: Path,
        *,
        extra: Sequence[Service] = (),
        report: Callable[[str], None] = lambda _line: None,
        fast: bool = False,
    ) -> AsyncIterator["EmbeddedServers"]:
        """Run the servers for the length of the block; `extra` services run beside them.

        `report` gets a line for each step, and for each server that died and is started again. `fast` is for
        tests: a power failure may then lose data.

        Raises:
            DataDirBusy: another living process uses the data directory.
            EmbeddedFailure: the servers cannot run here; the message says why.
        """
        base = claim_data_dir(data_dir)
        lock = DataDirLock(base)
        try:
            await _take(lock, report)
            ground = Ground(base, lock.fd, report, fast=fast)
            made = await ground.make_cluster()
            leash = ground.launch(extra)
            try:
                await _until_ready(ground, leash)
                await _ensure_database(ground.database_url("postgres"))
                yield cls(
                    ground,
                    leash,
                    database_url=ground.database_url(postgresql.DATABASE, driver="postgresql+asyncpg"),
                    redis_url=ground.redis_url(),
                    started_first_time=made,
                )
            finally:
                (base / "run.json").unlink(missing_ok=True)
                await leash.release()
        finally:
            lock.close()

    @property
    def pids(self) -> dict[str, int]:
        """Pid of each service that runs now, by name."""
        return dict(self._leash.pids)

    @property
    def keeper_pid(self) -> int:
        """The process that keeps them."""
        return self._leash.keeper_pid

    async def wait_lost(self) -> str:
        """Return, with the reason, once the keeper has died: the servers end, and so should the app."""
        return await self._leash.wait_lost()

    async def until_ready(self, name: str, is_ready: Callable[[], Awaitable[bool]], within_s: float) -> None:
        """Wait until one of the `extra` services is ready.

        Raises:
            EmbeddedFailure: it is not ready in time, or one that must start ended with an error.
        """
        await _poll(name, is_ready, self._ground, self._leash, within_s)
        self._leash.note_ready(name)

    def announce(self, **facts: str) -> None:
        """Let commands find what runs: the URLs and these facts (see `read_run_file`)."""
        run = {"database_url": self.database_url, "redis_url": self.redis_url, **facts}
        write_private(self.data_dir / "run.json", json.dumps(run))


class Ground:
    """Everything between a locked data directory and running servers."""

    def __init__(self, base: Path, lock_fd: int, report: Callable[[str], None], *, fast: bool) -> None:
        self.base = base
        self._lock_fd = lock_fd
        self.report = report
        self._fast = fast
        self.home = base / "postgresql"
        self.owner = _servers_user(self.home / "data")
        closed = closed_parent(base, self.owner)
        if closed is not None:
            raise EmbeddedFailure(
                f"Started by root, the servers run as another user, who cannot pass {closed}: "
                "choose another place with --data-dir, or run botwarden as an ordinary user."
            )
        self.log_dir = base / "log"
        self.log_dir.mkdir(mode=0o700, exist_ok=True)
        _rotate(self.log_dir)
        private_dir(self.home, self.owner)
        self.password = _password(base)
        self.valkey_password = secrets.token_hex(24)
        self.binaries: PostgresBinaries = reachable_postgres(find_postgres(), base, self.owner)
        self.sockets = base
        #: How long each log was before this start.
        self._log_began: dict[str, int] = {log.stem: log.stat().st_size for log in self.log_dir.glob("*.log")}

    async def make_cluster(self) -> bool:
        """Make the cluster unless there is one; true when it was made now."""
        if postgresql.check_version(self.home, self.binaries):
            return False
        self.report(f"Making a PostgreSQL {self.binaries.major} database in {self.base} ...")
        service = postgresql.making(self.binaries, self.home, self.owner, fast=self._fast)
        write_private(self.home / "pwfile", self.password + "\n", owner=self.owner)
        leash = self._keep([service])
        try:
            code = await leash.ended(service.name)
        finally:
            await leash.release()
            (self.home / "pwfile").unlink()
        if code != 0:
            raise EmbeddedFailure(f"The database could not be made.\n{self.log_tail(service.name)}")
        (self.home / "data.new").rename(self.home / "data")
        return True

    def launch(self, extra: Sequence[Service]) -> Leash:
        """Start every service under one keeper."""
        self.sockets = socket_dir(self.base, self.owner)
        valkey_home = private_dir(self.base / "valkey", self.owner)
        write_private(
            valkey_home / "valkey.conf",
            valkey.configuration(self.valkey_password, self.sockets),
            owner=self.owner,
        )
        valkey_binary = reachable_valkey(find_valkey(), self.base, self.owner)
        services = [
            postgresql.running(self.binaries, self.home, self.sockets, self.owner, fast=self._fast),
            valkey.running(valkey_binary, valkey_home, self.sockets, self.owner),
            *extra,
        ]
        return self._keep(services, remove=[self.sockets])

    def _keep(self, services: Sequence[Service], remove: Sequence[Path] = ()) -> Leash:
        return Leash.start(
            services, log_dir=self.log_dir, lock_fd=self._lock_fd, report=self.report, remove=remove
        )

    def database_url(self, name: str, *, driver: str = "postgresql") -> str:
        """Return the URL of a database on this server."""
        return (
            f"{driver}://{postgresql.USER}:{self.password}@/{name}?host={quote(str(self.sockets), safe='/')}"
        )

    def redis_url(self) -> str:
        """Return the URL of Valkey."""
        return f"unix://:{self.valkey_password}@{quote(str(self.sockets / valkey.SOCKET), safe='/')}"

    def log_tail(self, name: str) -> str:
        """Return the last lines that a service wrote."""
        try:
            lines = (self.log_dir / f"{name}.log").read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-12:])

    def last_error(self, name: str) -> str | None:
        """Return what a service said last was wrong, since this start, in one line."""
        with (self.log_dir / f"{name}.log").open(errors="replace") as log:
            log.seek(self._log_began.get(name, 0))
            said = [line for line in log.read().splitlines() if line.startswith("Error: ")]
        return said[-1].removeprefix("Error: ") if said else None


async def _take(lock: DataDirLock, report: Callable[[str], None]) -> None:
    """Take the lock, waiting for the servers of an app that was killed."""
    told = False
    with anyio.move_on_after(_FREE_WITHIN_S):
        while not lock.take():
            if not told:
                report("Waiting for the servers of the last run to end ...")
                told = True
            await anyio.sleep(0.02)
        return
    raise EmbeddedFailure(f"Servers of an earlier run still use {lock.path}; end them first.")


async def _until_ready(ground: Ground, leash: Leash) -> None:
    async def postgres_ready() -> bool:
        return postgresql.is_ready(ground.home, leash.pids.get(postgresql.NAME))

    async def valkey_ready() -> bool:
        return valkey.NAME in leash.pids and await valkey.is_ready(ground.sockets, ground.valkey_password)

    await _poll(postgresql.NAME, postgres_ready, ground, leash)
    await _poll(valkey.NAME, valkey_ready, ground, leash)


async def _poll(
    name: str,
    is_ready: Callable[[], Awaitable[bool]],
    ground: Ground,
    leash: Leash,
    within_s: float = _READY_WITHIN_S,
) -> None:
    with anyio.move_on_after(within_s):
        while not await is_ready():
            if leash.is_lost:
                raise EmbeddedFailure(await leash.wait_lost())
            if (failed := leash.failed_start()) is not None:
                why = ground.last_error(failed) or f"log/{failed}.log in the data directory tells more"
                raise EmbeddedFailure(f"{failed} does not start: {why}")
            if len(leash.ends.get(name, ())) >= _GIVE_UP_AFTER_ENDS:
                break
            await anyio.sleep(0.01)
        else:
            return
    raise EmbeddedFailure(f"{name} does not start.\n{ground.log_tail(name)}")


async def _ensure_database(url: str) -> None:
    """Create the app's database unless it is there: a kill may have come between cluster and database."""
    connection: Any = await asyncpg.connect(url)
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", postgresql.DATABASE):
            await connection.execute(f"CREATE DATABASE {postgresql.DATABASE}")
    finally:
        await connection.close()


def _servers_user(cluster: Path) -> tuple[int, int] | None:
    """Return user and group that the servers run as; None: ours. PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    if cluster.exists() and cluster.stat().st_uid != 0:
        return cluster.stat().st_uid, cluster.stat().st_gid
    for name in _UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise EmbeddedFailure("PostgreSQL does not run as root, and there is no user `nobody` to run it as.")


def _password(base: Path) -> str:
    path = base / "password"
    if not path.exists():
        if (base / "postgresql/data").exists():
            raise EmbeddedFailure(f"{path} is missing: without it the database there cannot be opened.")
        write_private(path, secrets.token_hex(24))
    return path.read_text().strip()


def _rotate(log_dir: Path) -> None:
    """Keep one older log beside one that has grown long."""
    for log in log_dir.glob("*.log"):
        if log.stat().st_size > _LONGEST_LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
