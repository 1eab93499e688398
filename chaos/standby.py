"""A second PostgreSQL that follows the first one commit by commit, and can take its place."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from botwarden.persistence.embedded import EmbeddedServers
from botwarden.persistence.embedded.binaries import find_postgres
from botwarden.persistence.embedded.places import claim_data_dir


class Standby:
    """A server that has every commit that the first one has answered."""

    def __init__(self, servers: EmbeddedServers) -> None:
        self.database_url = servers.database_url

    async def promote(self) -> None:
        """Let it take commits of its own from now on."""
        await _ask(self.database_url, "SELECT pg_promote()")


@asynccontextmanager
async def standing_by(primary: EmbeddedServers, folder: Path) -> AsyncIterator[Standby]:
    """Yield a standby of the server in a new folder; the first one waits for it with each commit."""
    await asyncio.to_thread(_copy, primary, folder)
    async with EmbeddedServers.start(folder, fast=True) as servers:
        await _ask(primary.database_url, "ALTER SYSTEM SET synchronous_standby_names = '*'")
        await _ask(primary.database_url, "SELECT pg_reload_conf()")
        try:
            yield Standby(servers)
        finally:
            # Whoever is alone waits for nobody.
            await _ask(primary.database_url, "ALTER SYSTEM RESET synchronous_standby_names")
            await _ask(primary.database_url, "SELECT pg_reload_conf()")


def _copy(primary: EmbeddedServers, folder: Path) -> None:
    """Make a data directory from the running server, and give it to whom the server's belongs."""
    data = claim_data_dir(folder) / "postgresql/data"
    data.parent.mkdir(mode=0o700, parents=True)
    shutil.copy(primary.data_dir / "password", folder / "password")
    plain = primary.database_url.replace("postgresql+asyncpg", "postgresql")
    program = str(find_postgres().bin / "pg_basebackup")
    subprocess.run(  # noqa: S603 - a program of the embedded server
        [program, "--dbname", plain, "--pgdata", str(data), "--write-recovery-conf", "--checkpoint=fast"],
        check=True,
        capture_output=True,
    )
    owner = (primary.data_dir / "postgresql/data").stat()
    if owner.st_uid != os.geteuid():
        for path in (data.parent, *data.parent.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


async def _ask(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url.replace("postgresql+asyncpg", "postgresql"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
