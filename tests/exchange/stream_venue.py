"""The market-stream side of a venue, driven by hand: the test decides what is said, and when it breaks."""

import json
from typing import Any

import anyio
from aiohttp import WSMsgType, web


class StreamVenue:
    """Answers SUBSCRIBE and UNSUBSCRIBE as the venue does, and says what it is told to say."""

    def __init__(self) -> None:
        #: One entry for each connection: the streams subscribed on it now.
        self.subscribed: list[set[str]] = []
        self.requests: list[dict[str, Any]] = []
        self.sockets: list[web.WebSocketResponse] = []
        #: Set to make the venue refuse streams, ignore requests, or refuse connections.
        self.refuse_with: str | None = None
        self.ignores_requests = False
        self.status: int | None = None
        self.retry_after = "0"
        self.connections_ended = 0
        self._changed = anyio.Event()
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def origin(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def open(self) -> None:
        app = web.Application()
        app.router.add_get("/stream", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        if self._runner is not None:
            for socket in self.sockets:
                await socket.close()
            await self._runner.cleanup()

    async def until(self, condition: Any) -> None:
        """Return when the condition holds; it is looked at after everything that happens."""
        while not condition():
            await self._changed.wait()

    async def say(self, stream: str, data: dict[str, Any]) -> None:
        """Send an event on the newest connection."""
        await self.sockets[-1].send_str(json.dumps({"stream": stream, "data": data}))

    async def say_raw(self, text: str) -> None:
        await self.sockets[-1].send_str(text)

    def drop(self) -> None:
        """Cut the newest connection without a close frame."""
        transport = self.sockets[-1]._req.transport
        transport.abort()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if self.status is not None:
            self._happened()
            return web.Response(status=self.status, headers={"Retry-After": self.retry_after})
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        streams: set[str] = set()
        self.sockets.append(socket)
        self.subscribed.append(streams)
        self._happened()
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await self._on_request(socket, streams, json.loads(message.data))
        self.connections_ended += 1
        self._happened()
        return socket

    async def _on_request(
        self, socket: web.WebSocketResponse, streams: set[str], asked: dict[str, Any]
    ) -> None:
        self.requests.append(asked)
        if asked["method"] == "SUBSCRIBE":
            streams.update(asked["params"])
        else:
            streams.difference_update(asked["params"])
        if self.refuse_with is not None:
            refusal = {"error": {"code": 2, "msg": self.refuse_with}, "id": asked["id"]}
            await socket.send_str(json.dumps(refusal))
        elif not self.ignores_requests:
            await socket.send_str(json.dumps({"result": None, "id": asked["id"]}))
        self._happened()

    def _happened(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


def trade(symbol: str, price: str, *, at_ms: int = 1_767_614_400_000) -> dict[str, Any]:
    """Return a trade event."""
    return {
        "e": "trade",
        "E": at_ms,
        "s": symbol,
        "t": 1,
        "p": price,
        "q": "1",
        "T": at_ms,
        "m": True,
        "M": True,
    }


def kline(symbol: str, interval: str, close: str, *, opened_ms: int, closed: bool) -> dict[str, Any]:
    """Return a kline event of a flat bar."""
    bar = {"t": opened_ms, "T": opened_ms + 59_999, "s": symbol, "i": interval, "f": 1, "L": 2, "x": closed}
    bar |= dict.fromkeys("ochl", close) | {"v": "3", "n": 2, "q": "1", "V": "1", "Q": "1", "B": "0"}
    return {"e": "kline", "E": opened_ms, "s": symbol, "k": bar}
