"""One open websocket to a venue, from connecting to its end.

Three things go on at once: listening, bringing what the venue sends in line with what is wanted, and
watching for silence. The first that ends, ends the session: in peace when nobody wants anything any more,
with `Broken` otherwise.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable

import aiohttp
import anyio
import anyio.lowlevel

from botwarden.runtime import Clock

CONNECT_WITHIN_S = 10.0
CLOSE_WITHIN_S = 1.0

#: So many buffered messages are handled before others get their turn.
SLICE = 64

Socket = aiohttp.ClientWebSocketResponse


class Broken(Exception):  # noqa: N818 - a reason, not an error
    """The connection is of no use any more."""

    def __init__(self, message: str, *, pause_s: float = 0.0) -> None:
        super().__init__(message)
        #: How long the venue wants to be left alone at least.
        self.pause_s = pause_s


class SocketSession(ABC):
    """A websocket and what is done with it; who derives from it says what."""

    def __init__(self, http: aiohttp.ClientSession, url: str, *, clock: Clock) -> None:
        self._http = http
        self._url = url
        self._clock = clock
        self._heard_at = clock.monotonic()
        self._failure: Broken | None = None

    @abstractmethod
    def _handle(self, text: str) -> None:
        """Take one message. Raises `Broken` when there is nothing more to hope for."""

    @abstractmethod
    async def _subscribe(self, socket: Socket) -> None:
        """Keep what the venue sends in line with what is wanted; return when nothing is."""

    @abstractmethod
    async def _watch(self, socket: Socket) -> None:
        """Raise `Broken` when the connection is silent for too long."""

    async def run(self) -> None:
        """Connect and serve until nobody wants anything any more.

        Raises:
            Broken: it ended before.
        """
        socket = await self._connect()
        try:
            self._heard_at = self._clock.monotonic()
            async with anyio.create_task_group() as group:
                for part in (self._listen, self._subscribe, self._watch):
                    group.start_soon(self._guard, part, socket, group.cancel_scope)
        finally:
            with anyio.move_on_after(CLOSE_WITHIN_S, shield=True):
                await socket.close()
        if self._failure is not None:
            raise self._failure

    async def _connect(self) -> Socket:
        try:
            with anyio.fail_after(CONNECT_WITHIN_S):
                return await self._http.ws_connect(
                    self._url, timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_WITHIN_S)
                )
        except aiohttp.WSServerHandshakeError as refused:
            asked = "" if refused.headers is None else refused.headers.get("Retry-After", "")
            pause_s = float(asked) if asked.isdecimal() else 0.0
            raise Broken(
                f"the venue refused the stream with status {refused.status}", pause_s=pause_s
            ) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as failed:
            raise Broken(f"no connection to the stream ({type(failed).__name__})") from None

    async def _guard(
        self, part: Callable[[Socket], Awaitable[None]], socket: Socket, scope: anyio.CancelScope
    ) -> None:
        """Run one part; its end, good or bad, is the end of all."""
        try:
            await part(socket)
        except Broken as broken:
            self._failure = self._failure or broken
        except (aiohttp.ClientError, TimeoutError, OSError) as failed:
            self._failure = self._failure or Broken(f"the stream broke ({type(failed).__name__})")
        scope.cancel()

    async def _listen(self, socket: Socket) -> None:
        handled = 0
        while True:
            message = await socket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise Broken(f"the venue closed the stream (code {socket.close_code})")
            self._heard_at = self._clock.monotonic()
            self._handle(message.data)
            handled += 1
            if handled % SLICE == 0:
                await anyio.lowlevel.checkpoint()
