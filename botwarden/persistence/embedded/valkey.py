"""The embedded Valkey: its configuration, and when it is ready.

It only carries word and caches, so nothing of it is kept on disk.
"""

from pathlib import Path

import anyio

from botwarden.persistence.embedded.leash import Service

NAME = "valkey"
SOCKET = "valkey.sock"


def configuration(password: str, sockets: Path) -> str:
    """Return the text of its configuration file; the password must not show in a command line."""
    return "\n".join(
        (
            "port 0",
            f'unixsocket "{sockets / SOCKET}"',
            "unixsocketperm 700",
            f"requirepass {password}",
            'save ""',
            "appendonly no",
            "maxmemory 64mb",
            "maxmemory-policy volatile-lru",
            'logfile ""',
            "daemonize no",
            "",
        )
    )


def running(binary: Path, home: Path, sockets: Path, owner: tuple[int, int] | None) -> Service:
    """Return the server."""
    return Service(
        name=NAME,
        argv=[str(binary), str(home / "valkey.conf")],
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
        cwd=home,
        owner=owner,
        sweep=[sockets / SOCKET],
    )


async def is_ready(sockets: Path, password: str) -> bool:
    """Tell whether the server answers to the password."""
    try:
        async with await anyio.connect_unix(sockets / SOCKET) as stream:
            await stream.send(f"AUTH {password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\n") < 2:
                answer += await stream.receive()
    except (OSError, anyio.EndOfStream, anyio.BrokenResourceError):
        return False
    return answer == b"+OK\r\n+PONG\r\n"
