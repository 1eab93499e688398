"""Apps on embedded servers, each a process of its own that a test may kill, and ways to look at processes."""

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import asyncpg
from anyio import to_thread
from redis.asyncio import Redis

APP = Path(__file__).with_name("app.py")


class App:
    """One run of the app."""

    def __init__(self, folder: Path, *services: str, python: str = sys.executable, **popen: Any) -> None:
        self.process = subprocess.Popen(
            [python, str(APP), str(folder), *services],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            **popen,
        )
        self._folder = folder
        self.up: dict[str, Any] = {}
        self.reports: list[str] = []
        self._pids: set[int] = set()

    async def said(self, *either: str) -> dict[str, Any]:
        """Return the next line with one of these words; what is reported before it is kept."""
        while True:
            await anyio.wait_readable(self.process.stdout)
            line = await to_thread.run_sync(self.process.stdout.readline)
            if not line:
                raise EOFError(f"the app ended without a word of {either}: {self.reports}")
            words = json.loads(line)
            if "report" in words:
                self.reports.append(words["report"])
            if words.keys() & set(either):
                return words

    async def started(self) -> "App":
        """Wait until its servers are up."""
        self.up = await self.said("up")
        self._pids = {self.up["keeper"], *self.up["pids"].values()}
        return self

    def kill(self) -> None:
        """Let it die without a last word."""
        self.process.kill()
        self.process.wait()

    async def ended(self) -> int:
        """Wait for its end and return its status."""
        return await to_thread.run_sync(self.process.wait)

    async def stop(self) -> int:
        """Ask it to end and wait for it."""
        self.process.stdin.close()
        return await self.ended()

    async def all_gone(self) -> None:
        """Wait until keeper and servers are gone as well."""
        for pid in self._pids:
            await gone(pid)

    async def all_said(self) -> None:
        """Read all that it said before it ended."""
        with contextlib.suppress(EOFError):
            await self.said("its end")

    def clean(self) -> None:
        """Once all apps are killed, wait until their servers are gone: they let go of the lock last."""
        self.process.stdout.close()
        self.process.stdin.close()
        with contextlib.suppress(FileNotFoundError), (self._folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)


async def gone(pid: int) -> None:
    """Wait until no process of that number runs; whoever is a zombie runs no more."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        readable = await to_thread.run_sync(lambda: select.select([fd], [], [], 30))
        assert readable[0], f"process {pid} lives on"
    finally:
        os.close(fd)


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    os.kill(pid, number)


async def query(up: Mapping[str, Any], statement: str) -> Any:
    """Run a statement and return its first value."""
    connection = await asyncpg.connect(up["database_url"].replace("+asyncpg", ""))
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def ping(up: Mapping[str, Any]) -> bool:
    async with Redis.from_url(up["redis_url"]) as client:
        return await client.ping()


def modes_above(path: Path) -> dict[Path, tuple[int, int, int]]:
    """Return mode and owner of every directory above `path`."""
    found = {parent: parent.stat() for parent in path.parents}
    return {parent: (stat.st_mode, stat.st_uid, stat.st_gid) for parent, stat in found.items()}


def user_of(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()
