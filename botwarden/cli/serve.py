"""`botwarden serve`: one replica for production, over your PostgreSQL and Redis."""

import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import click

from botwarden import logs
from botwarden.http.server import take_address
from botwarden.persistence.database import Database
from botwarden.persistence.installation import read_setting
from botwarden.persistence.migrate import NEWER_THAN_THIS, Standing, current, head, standing
from botwarden.persistence.reach import saying_which
from botwarden.settings import Settings, problems_for_serve
from botwarden.wiring import run


@click.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one.")
def command(**words: Any) -> None:
    """Run one replica. Needs BOTWARDEN_DATABASE_URL, BOTWARDEN_REDIS_URL and BOTWARDEN_SECRET_KEY."""
    settings = Settings.from_environment(**words)
    if problems := problems_for_serve(settings):
        raise click.ClickException("\n".join(problems))
    logs.configure(settings.log_level, settings.log_format)
    anyio.run(_serve, settings, backend_options={"use_uvloop": True})


async def _serve(settings: Settings) -> None:
    with take_address(settings.host, settings.port) as listener:
        await _require_head(settings)
        await until_signalled(settings, listener, _tell)


async def _tell(address: str) -> None:
    click.echo(f"botwarden answers at {address}")


async def _require_head(settings: Settings) -> None:
    with saying_which(settings.database_url):
        database = Database.connect(settings.database_url, pool_size=2)
        try:
            at = await current(database.engine)
            async with database.read() as tx:
                durable = await read_setting(tx, "synchronous_commit")
                stalls_for = await read_setting(tx, "idle_in_transaction_session_timeout")
        finally:
            await database.close()
    if standing(at) is Standing.NEWER:
        raise click.ClickException(f"{NEWER_THAN_THIS} Run that release.")
    if standing(at) is Standing.OLDER:
        raise click.ClickException(
            f"The database's schema is at {at or 'nothing'}, not at {head()}: run `botwarden migrate`."
        )
    if durable == "off":
        raise click.ClickException("The database has synchronous_commit = off: commits could be lost.")
    if stalls_for == "0":
        raise click.ClickException(
            "A pooler keeps our time-outs from the database, so a frozen replica would keep its bots locked:"
            " set them for the role, as docs/operations.md says."
        )


async def until_signalled(
    settings: Settings, listener: socket.socket, on_ready: Callable[[str], Awaitable[None]]
) -> None:
    """Run a replica until the process is told to end."""
    stopping = anyio.Event()
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with anyio.create_task_group() as tasks:

            async def replica() -> None:
                await run(settings, listener, on_ready=on_ready, stopping=stopping)
                tasks.cancel_scope.cancel()

            tasks.start_soon(replica)
            async for _ in signals:
                stopping.set()
