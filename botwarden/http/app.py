"""The API as one application: every resource, who may come in, and how anything that goes wrong is said.

Nothing here knows an actor: the API meets them in PostgreSQL and Redis.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.types import ControllerRouterHandler

from botwarden.http import (
    accounts,
    api_keys,
    bot_commands,
    bot_states,
    bots,
    docs,
    halts,
    headers,
    history,
    live,
    problems,
)
from botwarden.http.answers import JsonResponse
from botwarden.http.auth import Doorkeeper
from botwarden.http.dependencies import HttpDeps, always
from botwarden.http.description import ExactAmounts, describe_problems
from botwarden.http.limits import Throttle
from botwarden.http.tokens import Sessions
from botwarden.persistence.counters import Counters

#: No body of this API comes near it.
_LARGEST_BODY = 256 * 1024

_HANDLERS: Sequence[ControllerRouterHandler] = [
    accounts.router,
    api_keys.router,
    bots.router,
    bot_commands.router,
    bot_states.router,
    halts.router,
    history.router,
    *live.routes,
    docs.show_docs,
]


def create_app(deps: HttpDeps) -> Litestar:
    """Return the whole API."""
    sessions = Sessions(deps.database, deps.broadcast, deps.clock)

    @asynccontextmanager
    async def attending(_app: Litestar) -> AsyncIterator[None]:
        await sessions.attend()
        yield

    app = Litestar(
        route_handlers=_HANDLERS,
        plugins=[
            live.LiveHalf(
                deps, metrics_token=deps.settings.metrics_token, heartbeat_s=deps.settings.heartbeat_s
            ),
            ExactAmounts(),
        ],
        dependencies={
            "deps": always(deps),
            "sessions": always(sessions),
            "throttle": always(Throttle(Counters(deps.cache.redis, monotonic=deps.clock.monotonic))),
        },
        middleware=[Doorkeeper(deps, sessions).middleware],
        exception_handlers=problems.HANDLERS,
        before_send=[headers.hardener(is_https=deps.settings.secure_cookies)],
        response_class=JsonResponse,
        request_max_body_size=_LARGEST_BODY,
        cors_config=_cors(deps),
        openapi_config=docs.openapi_config(),
        lifespan=[attending],
        logging_config=None,
        debug=False,
    )
    describe_problems(app.openapi_schema)
    return app


def _cors(deps: HttpDeps) -> CORSConfig | None:
    if not deps.settings.cors_origins:
        return None
    return CORSConfig(
        allow_origins=list(deps.settings.cors_origins),
        allow_credentials=True,
        expose_headers=["ETag", "Retry-After"],
    )
