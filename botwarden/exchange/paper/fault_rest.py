"""What a fault does to the answer of a REST request: another one, a part of it, or none."""

import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from aiohttp import web

from botwarden.exchange.paper import answers, fault_requests
from botwarden.exchange.paper.fault_plan import Caught

Work = Callable[[], Awaitable[web.Response]]


async def suffer(
    caught: Caught, request: web.Request, work: Work, *, now_ms: int, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Answer a request that a fault has taken. `work` does what the request asks for."""
    return await fault_requests.suffer(
        caught,
        work,
        made=lambda: _made(caught, now_ms, headers),
        tell=lambda answer, then_close: _tell(caught, request, answer, then_close=then_close),
    )


def _made(caught: Caught, now_ms: int, headers: Mapping[str, str]) -> web.Response:
    """Return what the fault says in place of the usual answer."""
    fault = caught.fault
    if fault.answer == "error":
        made = answers.refusal(fault.refusal(now_ms))
        made.headers.update(headers)
        return made
    made = answers.page(fault.status or 500)
    if fault.retry_after_s is not None:
        made.headers["Retry-After"] = str(fault.retry_after_s)
    return made


async def _tell(
    caught: Caught, request: web.Request, answer: web.Response, *, then_close: bool
) -> web.StreamResponse:
    """Send the answer as far as the fault lets it through."""
    said: web.StreamResponse = answer
    with suppress(ConnectionError):  # Who has gone hears nothing.
        match caught.fault.answer:
            case "reset" | "closed":
                hang_up(request, reset=caught.fault.answer == "reset")
            case "half":
                said = await _half(request, answer)
                hang_up(request, reset=False)
            case _:
                if then_close:
                    answer.force_close()
                await answer.prepare(request)
                await answer.write_eof()
                if then_close or caught.fault.answer == "usual_then_closed":
                    hang_up(request, reset=False)
    return said


async def _half(request: web.Request, answer: web.Response) -> web.StreamResponse:
    body = answer.body if isinstance(answer.body, bytes) else b""
    cut = web.StreamResponse(status=answer.status, headers=answer.headers)
    cut.content_length = len(body)
    await cut.prepare(request)
    await cut.write(body[: len(body) // 2])
    return cut


def hang_up(request: web.Request, *, reset: bool) -> None:
    """End the connection: in order, or with a reset that throws away what was not read yet."""
    transport = request.transport
    if transport is None:
        return
    if not reset:
        transport.close()
        return
    wire = transport.get_extra_info("socket")
    if wire is not None:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
