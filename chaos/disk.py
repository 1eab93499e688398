"""A disk that is full, for one server: its files may not grow beyond a size."""

import multiprocessing
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from botwarden.persistence.embedded import EmbeddedServers

#: Segments of the write-ahead log have 16 MiB: below that the server itself could not go on.
LIMIT_BYTES = 17 * 1024 * 1024


@contextmanager
def full(servers: EmbeddedServers) -> Iterator[None]:
    """Let no file of PostgreSQL grow beyond `LIMIT_BYTES`; files that are larger do not grow at all."""
    _limit(servers, LIMIT_BYTES)
    try:
        yield
    finally:
        _limit(servers, resource.RLIM_INFINITY)


def _limit(servers: EmbeddedServers, size: int) -> None:
    server = servers.pids["postgresql"]
    sessions = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    owner = (servers.data_dir / "postgresql/data").stat()
    # Limits are set by whom the processes belong to, which is not root.
    process = multiprocessing.get_context("fork").Process(
        target=_set, args=([server, *map(int, sessions)], size, owner.st_uid, owner.st_gid)
    )
    process.start()
    process.join()
    if process.exitcode != 0:
        raise OSError("the server's files could not be limited")


def _set(pids: list[int], size: int, uid: int, gid: int) -> None:
    if uid != os.geteuid():
        os.setgid(gid)
        os.setuid(uid)
    for pid in pids:
        try:
            _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, most))
        except ProcessLookupError:
            continue  # A session that has ended meanwhile.
