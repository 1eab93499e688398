"""What a fault does to a REST request: whether and when it is executed, and what its sender sees.

The invariant: the venue's own work on a request is done whole or not at all; only what is said of it,
and when, differs from a day without faults.
"""

import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from aiohttp import web

from botwarden.exchange.paper import answers
from botwarden.exchange.paper.fault_plan import Caught

Work = Callable[[], Awaitable[web.Response]]


async def suffer(
    caught: Caught, request: web.Request, work: Work, *, now_ms: int, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Answer a request that a fault has taken. `work` does what the request asks for."""
    fault = caught.fault
    try:
        if fault.executes == "late":
            said = await _tell(caught, request, _made(caught, now_ms, headers), then_close=True)
            await caught.wait()
            await _done(caught, work)
            return said
        if fault.waits == "before":
            await caught.wait()
        usual = await _done(caught, work) if fault.executes == "yes" else None
        if fault.waits == "after":
            await caught.wait()
        is_usual = usual is not None and fault.answer not in ("html", "error")
        answer = usual if usual is not None and is_usual else _made(caught, now_ms, headers)
        return await _tell(caught, request, answer)
    finally:
        caught.tell("done")


async def _done(caught: Caught, work: Work) -> web.Response:
    answer = await work()
    caught.tell("executed" if answer.status < 400 else "refused")
    return answer


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
    caught: Caught, request: web.Request, answer: web.Response, *, then_close: bool = False
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
