"""A small app that lives on embedded servers; tests run it as a process of its own, and kill it.

    python app.py DIRECTORY [SERVICE...]     a service is a shell command that the keeper runs as well

Prints a JSON line when all is up and for each later report; ends when a line comes in, or with status 3 when
the keeper is lost.
"""

import json
import sys
from pathlib import Path

import anyio

from botwarden.errors import BotwardenError
from botwarden.persistence.embedded import EmbeddedServers, Service


def say(**words: object) -> None:
    """Print one line."""
    print(json.dumps(words), flush=True)  # noqa: T201 - this is how it talks to the test


async def main(folder: Path, commands: list[str]) -> int:
    """Run until told to end."""
    extra = [Service(name=f"extra{n}", argv=["/bin/sh", "-c", text]) for n, text in enumerate(commands)]
    async with EmbeddedServers.start(
        folder, extra=extra, report=lambda line: say(report=line), fast=True
    ) as servers:
        say(
            up=True,
            database_url=servers.database_url,
            redis_url=servers.redis_url,
            keeper=servers.keeper_pid,
            pids=servers.pids,
            first=servers.started_first_time,
        )
        status = 0
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                nonlocal status
                say(lost=await servers.wait_lost())
                status = 3
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch)
            await anyio.wait_readable(sys.stdin)
            tasks.cancel_scope.cancel()
    return status


if __name__ == "__main__":
    try:
        code = anyio.run(main, Path(sys.argv[1]), sys.argv[2:])
    except BotwardenError as error:
        say(error=str(error))
        code = 2
    sys.exit(code)
