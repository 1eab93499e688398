"""A conversation on the WebSocket API, byte by byte."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import anyio

from botwarden.exchange.paper.security import sign
from tests.exchange.paper.house import KEY, SECRET, House


class Talk:
    """One connection, byte by byte."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []
        self._asked = 0

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the answer to one request; events that come before it are kept."""
        self._asked += 1
        await self.socket.send_json({"id": self._asked, "method": method, "params": params})
        while True:
            said = await self.hear()
            if "event" not in said:
                assert said["id"] == self._asked
                return said
            self.events.append(said)

    async def signed(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the answer to one signed request."""
        return await self.ask(method, **with_signature(params))

    async def hear(self) -> dict[str, Any]:
        """Return the next message."""
        with anyio.fail_after(15):
            said: dict[str, Any] = json.loads((await self.socket.receive()).data)
        return said

    async def event(self) -> dict[str, Any]:
        """Return the next event with its subscription."""
        return self.events.pop(0) if self.events else await self.hear()

    async def events_until(self, kind: str) -> list[dict[str, Any]]:
        """Return the events up to one of this kind, without their subscription."""
        found: list[dict[str, Any]] = []
        while not found or found[-1]["e"] != kind:
            found.append((await self.event())["event"])
        return found


def with_signature(params: dict[str, Any], *, key: str = KEY, secret: str = SECRET) -> dict[str, Any]:
    """Return the parameters with key, time and signature."""
    sent = {"timestamp": time.time_ns() // 1_000_000, "apiKey": key, **params}
    payload = "&".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in sorted(sent.items())
    )
    return {**sent, "signature": sign(secret, payload.encode())}


@asynccontextmanager
async def talking(house: House, query: str = "") -> AsyncIterator[Talk]:
    """Open a connection."""
    async with house.wire.http.ws_connect(f"{house.origin}/ws-api/v3{query}") as socket:
        yield Talk(socket)
