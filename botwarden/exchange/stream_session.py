"""One open websocket of market streams, from connecting to its end.

Three things go on at once: listening, bringing the venue's subscriptions in line with what is wanted,
and watching for silence. The first that ends, ends the session: in peace when nobody wants anything any
more, with `Broken` otherwise.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

import aiohttp
import anyio
import anyio.lowlevel
import msgspec
import structlog

from botwarden.exchange import translate
from botwarden.exchange.payloads import Malformed
from botwarden.runtime import Clock
from botwarden.trading.candles import Candle, PriceTick

log = structlog.get_logger(__name__)

#: The venue disconnects who sends more than 5 messages a second; pongs count as well.
#: Source: Binance spot API, WebSocket streams, limits.
MESSAGE_EVERY_S = 0.25
STREAMS_PER_MESSAGE = 200

CONNECT_WITHIN_S = 10.0
CLOSE_WITHIN_S = 1.0

#: So many buffered messages are handled before others get their turn.
SLICE = 64


class Broken(Exception):  # noqa: N818 - a reason, not an error
    """The connection is of no use any more."""

    def __init__(self, message: str, *, pause_s: float = 0.0) -> None:
        super().__init__(message)
        #: How long the venue wants to be left alone at least.
        self.pause_s = pause_s


class Listeners(Protocol):
    """Those for whom the session works."""

    def names(self) -> set[str]: ...

    def hear(self, stream: str, said: Candle | PriceTick) -> None: ...

    def confirmed(self, names: set[str]) -> None: ...

    def refused(self, names: set[str], why: str) -> None: ...

    async def changed(self) -> None: ...


class StreamSession:
    """A websocket and what has been subscribed on it."""

    def __init__(
        self,
        listeners: Listeners,
        http: aiohttp.ClientSession,
        url: str,
        *,
        clock: Clock,
        silence_s: float,
        pulse: str | None,
    ) -> None:
        self._listeners = listeners
        self._http = http
        self._url = url
        self._clock = clock
        self._silence_s = silence_s
        self._pulse = set() if pulse is None else {pulse}
        self._requested: set[str] = set()
        self._confirmed: set[str] = set()
        #: Requests that wait for their answer: what for, and since when.
        self._pending: dict[int, tuple[set[str], float]] = {}
        self._requests = 0
        self._heard_at = clock.monotonic()
        self._failure: str | None = None

    @property
    def was_live(self) -> bool:
        """Whether the venue ever confirmed a stream."""
        return bool(self._confirmed)

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
            raise Broken(self._failure)

    async def _connect(self) -> aiohttp.ClientWebSocketResponse:
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
        self,
        part: Callable[[aiohttp.ClientWebSocketResponse], Awaitable[None]],
        socket: aiohttp.ClientWebSocketResponse,
        scope: anyio.CancelScope,
    ) -> None:
        """Run one part; its end, good or bad, is the end of all."""
        try:
            await part(socket)
        except Broken as broken:
            self._failure = self._failure or str(broken)
        except (aiohttp.ClientError, TimeoutError, OSError) as failed:
            self._failure = self._failure or f"the stream broke ({type(failed).__name__})"
        scope.cancel()

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
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

    def _handle(self, text: str) -> None:
        try:
            heard = translate.stream_message(text)
        except Malformed as malformed:
            log.warning("stream.unreadable", why=str(malformed))
            return
        match heard:
            case translate.StreamEvent(stream=stream, said=said):
                if said is not None:
                    self._listeners.hear(stream, said)
            case translate.StreamReply(request_id=request_id, refusal=refusal):
                self._on_reply(request_id, refusal)
            case translate.StreamClosing():
                raise Broken("the venue is about to close the stream")

    def _on_reply(self, request_id: int | None, refusal: str | None) -> None:
        names, _ = self._pending.pop(request_id or 0, (set(), 0.0))
        if refusal is not None:
            log.warning("stream.refused", why=refusal, streams=sorted(names)[:5])
            self._listeners.refused(names, f"the venue refused the stream: {refusal[:100]}")
        else:
            self._confirmed |= names & self._requested
            self._listeners.confirmed(self._confirmed)

    async def _subscribe(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Keep the venue's subscriptions in line with what is wanted."""
        while wanted := self._listeners.names():
            wanted |= self._pulse
            missing, needless = wanted - self._requested, self._requested - wanted
            if needless:
                await self._request(socket, "UNSUBSCRIBE", needless)
            elif missing:
                await self._request(socket, "SUBSCRIBE", missing)
            else:
                # Somebody new may want only what is there already.
                self._listeners.confirmed(self._confirmed)
                await self._listeners.changed()

    async def _request(self, socket: aiohttp.ClientWebSocketResponse, method: str, wanted: set[str]) -> None:
        names = set(sorted(wanted)[:STREAMS_PER_MESSAGE])
        self._requests += 1
        if method == "SUBSCRIBE":
            self._requested |= names
            self._pending[self._requests] = (names, self._clock.monotonic())
        else:
            self._requested -= names
            self._confirmed -= names
        request = {"method": method, "params": sorted(names), "id": self._requests}
        await socket.send_str(msgspec.json.encode(request).decode())
        await self._clock.sleep(MESSAGE_EVERY_S)

    async def _watch(self, _socket: aiohttp.ClientWebSocketResponse) -> None:
        """Fail when nothing is heard, or a request is not answered."""
        while True:
            unheard = [self._heard_at, *(since for _, since in self._pending.values())]
            patience_s = min(unheard) + self._silence_s - self._clock.monotonic()
            if patience_s <= 0:
                raise Broken(f"nothing was heard for {self._silence_s:g} s")
            await self._clock.sleep(patience_s)
