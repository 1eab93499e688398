"""One open websocket of market streams, and what has been subscribed on it."""

from typing import Protocol

import aiohttp
import msgspec
import structlog

from botwarden.exchange import translate
from botwarden.exchange.payloads import Malformed
from botwarden.exchange.socket_session import Broken, Socket, SocketSession
from botwarden.runtime import Clock
from botwarden.trading.candles import Candle, PriceTick

log = structlog.get_logger(__name__)

#: The venue disconnects who sends more than 5 messages a second; pongs count as well.
#: Source: Binance spot API, WebSocket streams, limits.
MESSAGE_EVERY_S = 0.25
STREAMS_PER_MESSAGE = 200


class Listeners(Protocol):
    """Those for whom the session works."""

    def names(self) -> set[str]: ...

    def hear(self, stream: str, said: Candle | PriceTick) -> None: ...

    def confirmed(self, names: set[str]) -> None: ...

    def refused(self, names: set[str], why: str) -> None: ...

    async def changed(self) -> None: ...


class StreamSession(SocketSession):
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
        super().__init__(http, url, clock=clock)
        self._listeners = listeners
        self._silence_s = silence_s
        self._pulse = set() if pulse is None else {pulse}
        self._requested: set[str] = set()
        self._confirmed: set[str] = set()
        #: Requests that wait for their answer: what for, and since when.
        self._pending: dict[int, tuple[set[str], float]] = {}
        self._requests = 0

    @property
    def was_live(self) -> bool:
        """Whether the venue ever confirmed a stream."""
        return bool(self._confirmed)

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

    async def _subscribe(self, socket: Socket) -> None:
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

    async def _request(self, socket: Socket, method: str, wanted: set[str]) -> None:
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

    async def _watch(self, _socket: Socket) -> None:
        """Fail when nothing is heard, or a request is not answered."""
        while True:
            unheard = [self._heard_at, *(since for _, since in self._pending.values())]
            patience_s = min(unheard) + self._silence_s - self._clock.monotonic()
            if patience_s <= 0:
                raise Broken(f"nothing was heard for {self._silence_s:g} s")
            await self._clock.sleep(patience_s)
