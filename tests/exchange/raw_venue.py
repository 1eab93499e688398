"""A venue made of bytes, for faults that no well-behaved server can produce.

It records every request that reached it whole, and then does exactly what the test scripted for that
path: answer, answer half, reset, or say nothing at all.
"""

import asyncio
import json
import struct
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request as it came over the wire."""

    method: str
    path: str
    query: dict[str, str]
    form: dict[str, str]
    headers: dict[str, str]


Doing = Callable[[asyncio.StreamWriter, Request], Awaitable[None]]


def answer(body: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Doing:
    """Answer whole; text is sent as it is, everything else as JSON."""
    payload = body.encode() if isinstance(body, str) else json.dumps(body).encode()

    async def do(writer: asyncio.StreamWriter, _request: Request) -> None:
        writer.write(_head(status, len(payload), headers or {}) + payload)
        await writer.drain()

    return do


def half(body: Any, *, status: int = 200) -> Doing:
    """Promise the whole body, send half of it, and cut the line."""
    payload = json.dumps(body).encode()

    async def do(writer: asyncio.StreamWriter, _request: Request) -> None:
        writer.write(_head(status, len(payload), {}) + payload[: len(payload) // 2])
        await writer.drain()
        writer.close()

    return do


def windowed(body: Any, *, delayed_s: float) -> Doing:
    """Answer by the venue's rule of time, as if the request had been under way for so long.

    Source: Binance spot API, timing security.
    """

    async def do(writer: asyncio.StreamWriter, request: Request) -> None:
        age_ms = time.time() * 1000 + delayed_s * 1000 - int(request.form["timestamp"])
        if -1000 < age_ms <= int(request.form["recvWindow"]):
            await answer(body)(writer, request)
        else:
            refusal = {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}
            await answer(refusal, status=400)(writer, request)

    return do


async def server_time(writer: asyncio.StreamWriter, request: Request) -> None:
    """Answer GET time with this machine's."""
    await answer({"serverTime": time.time_ns() // 1_000_000})(writer, request)


async def reset(writer: asyncio.StreamWriter, _request: Request) -> None:
    """Cut the line hard, without a byte."""
    linger_off = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(1, 13, linger_off)  # SOL_SOCKET, SO_LINGER
    writer.transport.abort()


async def silence(writer: asyncio.StreamWriter, _request: Request) -> None:
    """Never answer; the line stays up until the client leaves."""
    await writer.wait_closed()


class RawVenue:
    """The server, its script and what it has seen."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._script: dict[str, deque[Doing]] = defaultdict(deque)
        self._always: dict[str, Doing] = {"/api/v3/time": server_time}
        self._server: asyncio.Server | None = None
        #: Held strongly: the loop itself would let a silent one be collected.
        self._serving: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def next(self, path: str, *doings: Doing) -> None:
        """Do these things, in turn, when the path is asked for."""
        self._script[path].extend(doings)

    def always(self, path: str, doing: Doing) -> None:
        """Do this whenever nothing else is scripted."""
        self._always[path] = doing

    def seen(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.path == path]

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while not writer.transport.is_closing():
                request = await _read(reader)
                self.requests.append(request)
                script = self._script[request.path]
                doing = script.popleft() if script else self._always[request.path]
                await doing(writer, request)
        writer.close()


def _head(status: int, length: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Scripted", f"Content-Length: {length}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *rest = head.strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in rest)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    address = urlsplit(target)
    return Request(
        method=method,
        path=address.path,
        query=dict(parse_qsl(address.query)),
        form=dict(parse_qsl(body.decode())),
        headers=headers,
    )
