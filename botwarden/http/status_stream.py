"""GET /bots/status-stream and /bots/{id}/status-stream: the live status of the caller's bots.

No database connection is held while a stream is open: the snapshot is read, its connection is given back,
and everything after that happens in memory.
"""

from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath
from litestar.types import ASGIApp

from botwarden.http.hub import StatusHub
from botwarden.http.sse import EventStream, LiveState, parse_event_id
from botwarden.persistence.users import SessionUser
from botwarden.trading.bot import BotId

_SAYS = {
    200: ResponseSpec(
        LiveState,
        media_type="text/event-stream",
        description="The present state at once, then one unnamed message per committed change. "
        "`event: deleted` when a bot is deleted, `event: bye` when the server goes away.",
    )
}


@get("/api/v1/bots/status-stream", tags=["live status"], summary="Follow all of your bots", responses=_SAYS)
async def follow_all(request: Request[SessionUser, Any, Any], hub: NamedDependency[StatusHub]) -> ASGIApp:
    """Stream the states of all of the caller's bots; `Last-Event-ID` resumes."""
    return await _follow(request, hub, None)


@get(
    "/api/v1/bots/{bot_id:int}/status-stream",
    tags=["live status"],
    summary="Follow one bot",
    responses=_SAYS,
)
async def follow_one(
    request: Request[SessionUser, Any, Any], hub: NamedDependency[StatusHub], bot_id: FromPath[int]
) -> ASGIApp:
    """Stream the states of one bot; `Last-Event-ID` resumes."""
    return await _follow(request, hub, BotId(bot_id))


async def _follow(request: Request[SessionUser, Any, Any], hub: StatusHub, bot_id: BotId | None) -> ASGIApp:
    caller = request.user
    watcher = hub.watcher(
        user_id=caller.user_id, bot_id=bot_id, token_hash=caller.token_hash, expires_at=caller.expires_at
    )
    await hub.attach(watcher, since_us=parse_event_id(request.headers.get("last-event-id")))
    return EventStream(watcher, leave=lambda: hub.detach(watcher))


routes = [follow_all, follow_one]
