"""What a fault does to websockets: events that get lost, connections that end, or are never there.

The invariant: only what the fault names is different; a connection that it leaves alone is served as ever.
"""

from collections.abc import Callable

import anyio
from aiohttp import web

from botwarden.exchange.paper import answers
from botwarden.exchange.paper.fault_events import ConnectionFault, Ending
from botwarden.exchange.paper.fault_plan import CaughtEvent
from botwarden.exchange.paper.fault_rest import hang_up

#: How long a closing handshake may take.
CLOSE_WITHIN_S = 1.0


def deliver(
    caught: CaughtEvent,
    tell: Callable[[], None],
    *,
    replace: Callable[[str], None],
    end: Callable[[Ending], None],
) -> None:
    """Let an event through as far as the fault allows.

    `tell` says it to all who hear it, `replace` says something else to them; `end` cuts all of them off.
    """
    match caught.fault.effect:
        case "drop":
            pass
        case "twice":
            tell()
            tell()
        case "late":
            caught.later(tell)
            return
        case "replace":
            replace(caught.fault.message or "")
        case _:
            if caught.fault.ending is not None:
                end(caught.fault.ending)
    caught.tell("done")


async def finish(
    socket: web.WebSocketResponse, request: web.Request, ending: Ending, goodbye: Callable[[], str]
) -> None:
    """End a connection in this way. A deaf one returns at once; its owner keeps it.

    `goodbye`: what the venue says before it goes.
    """
    match ending.how:
        case "reset" | "closed":
            hang_up(request, reset=ending.how == "reset")
        case "deaf":
            if request.transport is not None:
                request.transport.pause_reading()
        case _:
            if ending.how == "shutdown":
                await socket.send_str(goodbye())
            with anyio.move_on_after(CLOSE_WITHIN_S):
                await socket.close(code=ending.code, message=ending.reason.encode())


def turned_away(fault: ConnectionFault, request: web.Request) -> web.StreamResponse:
    """Answer who wanted a websocket and does not get one."""
    answer = answers.page(fault.status or 503)
    if fault.retry_after_s is not None:
        answer.headers["Retry-After"] = str(fault.retry_after_s)
    if fault.effect != "html":
        hang_up(request, reset=fault.effect == "reset")
    return answer
