"""The admin endpoints of faults: schedule, list, wait for, release, clear; and set the venue's clock.

    POST   /paper/faults                        {"kind": "request", "on": "POST order", ...}: see `faults`
    GET    /paper/faults                        every fault with what it has caught so far
    GET    /paper/faults/NAME?stage=caught&count=1&within_s=10
                                                answers once so many calls have come so far, or in vain
    POST   /paper/faults/NAME/release           the calls that are held now go on
    DELETE /paper/faults[/NAME]                 clear: what waits goes on, nothing more is hit
    POST   /paper/streams/end                   {"on": "*@trade", "how": "close", "code": 1001}: at once
    POST   /paper/subscriptions/end             {"api_key": "...", "how": "forgotten"}: user data, at once
    POST   /paper/clock                         {"offset_ms": -1270, "drift_ppm": 0}

Part of the admin endpoints and shut like them. The invariant: who asks to wait is answered in time.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

import anyio
import msgspec
from aiohttp import web

from botwarden.errors import Missing
from botwarden.exchange.paper.fault_events import Ending, How, StreamFault
from botwarden.exchange.paper.fault_plan import Fault, Scheduled, Stage
from botwarden.exchange.paper.fault_view import View
from botwarden.exchange.paper.faults import ReadLag
from botwarden.exchange.paper.reports import Cut
from botwarden.exchange.paper.venue import PaperVenue

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Guard = Callable[[Handler], Handler]

LONGEST_WAIT_S = 60.0


class ClockWish(msgspec.Struct, forbid_unknown_fields=True):
    """POST /paper/clock."""

    offset_ms: float
    drift_ppm: float = 0.0


class Wait(msgspec.Struct, forbid_unknown_fields=True):
    """The query of GET /paper/faults/NAME."""

    stage: Stage = "caught"
    count: int = 0
    within_s: float = 10.0


class EndWish(msgspec.Struct, forbid_unknown_fields=True):
    """POST /paper/streams/end: connections with a stream like `on`, none left out."""

    on: str = "*"
    how: How = "close"
    code: int = 1001
    reason: str = ""


class CutWish(msgspec.Struct, forbid_unknown_fields=True):
    """POST /paper/subscriptions/end: of the user data of a key, on all connections, which stay."""

    api_key: str
    how: Cut = "terminated"


class FaultAdmin:
    """The faults of one venue."""

    def __init__(self, venue: PaperVenue) -> None:
        self._venue = venue
        self._plan = venue.faults

    def add_routes(self, app: web.Application, guarded: Guard) -> None:
        """Put the endpoints into the server."""
        one = "/paper/faults/{name}"
        app.router.add_post("/paper/faults", guarded(self._add))
        app.router.add_get("/paper/faults", guarded(self._all))
        app.router.add_delete("/paper/faults", guarded(self._clear_all))
        app.router.add_get(one, guarded(self._wait))
        app.router.add_delete(one, guarded(self._clear))
        app.router.add_post(one + "/release", guarded(self._release))
        app.router.add_post("/paper/streams/end", guarded(self._end_streams))
        app.router.add_post("/paper/subscriptions/end", guarded(self._end_subscriptions))
        app.router.add_post("/paper/clock", guarded(self._set_clock))

    async def _add(self, request: web.Request) -> web.StreamResponse:
        fault = msgspec.json.decode(await request.read(), type=Fault)
        scheduled = self._plan.add(fault)
        if isinstance(fault, ReadLag):
            await self._venue.store.settled()
            if not scheduled.is_cleared:
                scheduled.view = View(self._venue)
        return web.json_response(scheduled.shown(), status=HTTPStatus.CREATED)

    async def _all(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"faults": [scheduled.shown() for scheduled in self._plan.all()]})

    async def _wait(self, request: web.Request) -> web.StreamResponse:
        scheduled = self._find(request)
        wish = msgspec.convert(dict(request.query), Wait, strict=False)
        with anyio.move_on_after(max(0.0, min(wish.within_s, LONGEST_WAIT_S))):
            await scheduled.reached(wish.stage, wish.count)
        if scheduled.is_cleared:
            raise Missing(f"the fault {scheduled.fault.name} was cleared")
        return web.json_response({**scheduled.shown(), "reached": scheduled.counts[wish.stage] >= wish.count})

    async def _release(self, request: web.Request) -> web.StreamResponse:
        scheduled = self._find(request)
        scheduled.release()
        return web.json_response(scheduled.shown())

    async def _clear(self, request: web.Request) -> web.StreamResponse:
        self._plan.clear(request.match_info["name"])
        return web.json_response({})

    async def _clear_all(self, _request: web.Request) -> web.StreamResponse:
        self._plan.clear()
        return web.json_response({})

    async def _end_streams(self, request: web.Request) -> web.StreamResponse:
        wish = msgspec.json.decode(await request.read(), type=EndWish)
        if wish.how == "close":
            StreamFault(on=wish.on, effect="close", code=wish.code, reason=wish.reason)  # Raises.
        ended = self._venue.streams.end_all(wish.on, Ending(wish.how, wish.code, wish.reason))
        return web.json_response({"ended": ended})

    async def _end_subscriptions(self, request: web.Request) -> web.StreamResponse:
        wish = msgspec.json.decode(await request.read(), type=CutWish)
        account = self._venue.engine.accounts.by_key.get(wish.api_key)
        if account is None:
            raise Missing("there is no such key")
        return web.json_response({"ended": self._venue.engine.feed.cut(account.account_id, wish.how)})

    async def _set_clock(self, request: web.Request) -> web.StreamResponse:
        wish = msgspec.json.decode(await request.read(), type=ClockWish)
        self._plan.clock.shift(offset_ms=wish.offset_ms, drift_ppm=wish.drift_ppm)
        return web.json_response({"server_time": self._plan.clock.now_ms()})

    def _find(self, request: web.Request) -> Scheduled:
        return self._plan.find(request.match_info["name"])
