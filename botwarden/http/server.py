"""The server around the application: uvicorn, started and stopped by whoever owns the process.

It installs no signal handlers. Whoever stops it sets the application's `stopping` first, so that streams
end at once; a stream that is still open would otherwise hold the server for ever.
"""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import anyio
import uvicorn

from botwarden.errors import Refused
from botwarden.http.access_log import AccessLog
from botwarden.http.head import HeadAnswers

#: A net below `stopping`: what still runs is cut off after this.
_STOP_WITHIN_S = 5
_KEEP_ALIVE_S = 30


class _Server(uvicorn.Server):
    """Leaves signals to the process, and says when it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answers = anyio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the process' signal handlers alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        if self.started:
            self.answers.set()


class NoAddress(Refused):
    """The address is not to be had."""


def take_address(host: str, port: int) -> socket.socket:
    """Take an address for a server; port 0 takes a free one. Nobody is let in before it serves.

    Raises:
        NoAddress: it is in use, or not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted connections inherit it. asyncio sets it only on those whose protocol number is told, and
        # without it a body waits for the client's delayed acknowledgement of its headers (40 ms).
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise NoAddress(f"Cannot listen on {host} port {port}: {error.strerror}.") from None
    return listener


class ApiServer:
    """One listening socket and the application behind it."""

    def __init__(self, app: Any, listener: socket.socket) -> None:
        """Serve at an address that was taken; it is given back at the end."""
        self._listener = listener
        self._server = _Server(
            uvicorn.Config(
                AccessLog(HeadAnswers(app)),
                http="httptools",
                ws="none",
                lifespan="on",
                # A header must not decide who the peer is.
                proxy_headers=False,
                server_header=False,
                access_log=False,
                log_config=None,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=_STOP_WITHIN_S,
            )
        )
        self._ended = anyio.Event()

    @property
    def host(self) -> str:
        """The address that is listened on."""
        return str(self._listener.getsockname()[0])

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._listener.getsockname()[1])

    async def serve(self) -> None:
        """Answer requests until `stop`.

        Raises:
            RuntimeError: the application did not start.
        """
        try:
            await self._server.serve([self._listener])
        except SystemExit:
            # uvicorn's way to say so; it would end the whole process from inside of a task.
            raise RuntimeError("the API did not start") from None
        finally:
            self._listener.close()
            self._ended.set()

    async def address(self) -> str:
        """Return the URL, once requests are answered there.

        Raises:
            RuntimeError: the application did not start.
        """
        async with anyio.create_task_group() as race:

            async def wait(event: anyio.Event) -> None:
                await event.wait()
                race.cancel_scope.cancel()

            race.start_soon(wait, self._server.answers)
            race.start_soon(wait, self._ended)
        if not self._server.answers.is_set():
            raise RuntimeError("the API did not start")
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - where it is reached
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    async def stop(self) -> None:
        """Take no more requests, let those that run end, and return when the server has ended."""
        self._server.should_exit = True
        await self._ended.wait()
