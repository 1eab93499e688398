"""The live half of the API as one piece that an application takes in.

    create_app(...) -> Litestar([..., *live.routes], plugins=[LiveHalf(deps, ...)], openapi_config=...)

It brings the hub, what is measured, and what the handlers here ask for. The hub runs from the
application's start to its end, in a task group of the application's own; the broadcast's `run` and the
event `stopping` belong to whoever made them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import anyio
from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.plugins import InitPlugin

from botwarden.exchange.port import Exchange
from botwarden.exchange.symbols import SymbolCatalogue
from botwarden.http import health, market, metrics, runtime_view, status_stream, strategies
from botwarden.http.health import Checkup
from botwarden.http.hub import StatusHub
from botwarden.http.live_sources import BroadcastWord, DatabaseRows
from botwarden.http.market import Markets
from botwarden.http.metrics import Metrics
from botwarden.http.runtime_view import Replicas
from botwarden.persistence.broadcast import Broadcast
from botwarden.persistence.cache import JsonCache
from botwarden.persistence.database import Database
from botwarden.runtime import Clock

routes = [
    *status_stream.routes,
    *health.routes,
    *metrics.routes,
    *runtime_view.routes,
    *market.routes,
    *strategies.routes,
]


class LiveDeps(Protocol):
    """What is needed of the application's surroundings."""

    @property
    def database(self) -> Database: ...
    @property
    def broadcast(self) -> Broadcast: ...
    @property
    def cache(self) -> JsonCache: ...
    @property
    def exchange(self) -> Exchange: ...
    @property
    def symbols(self) -> SymbolCatalogue: ...
    @property
    def clock(self) -> Clock: ...

    @property
    def stopping(self) -> anyio.Event:
        """Set when the server goes away; streams end at once then."""
        ...


class LiveHalf(InitPlugin):
    """Adds the hub, the figures and what goes with them to an application."""

    def __init__(
        self,
        deps: LiveDeps,
        *,
        metrics_token: str | None = None,
        heartbeat_s: float = 15.0,
        write_within_s: float = 20.0,
        poll_s: float = 1.5,
    ) -> None:
        self._stopping = deps.stopping
        self.metrics = Metrics(deps.cache, token=metrics_token)
        self.hub = StatusHub(
            rows=DatabaseRows(deps.database),
            word=BroadcastWord(deps.broadcast),
            clock=deps.clock,
            metrics=self.metrics.streams,
            heartbeat_s=heartbeat_s,
            write_within_s=write_within_s,
            poll_s=poll_s,
        )
        self.checkup = Checkup(deps.database, deps.cache, deps.stopping)
        self.markets = Markets(deps.exchange, deps.symbols, deps.cache)
        self.replicas = Replicas(deps.cache)

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Offer what the handlers ask for, and run the hub while the application runs."""
        offered = {
            "hub": self.hub,
            "metrics": self.metrics,
            "checkup": self.checkup,
            "markets": self.markets,
            "replicas": self.replicas,
        }
        app_config.dependencies |= {name: _always(thing) for name, thing in offered.items()}
        app_config.middleware.insert(0, self.metrics.requests.middleware)
        app_config.before_send.append(self.metrics.requests.before_send)
        app_config.lifespan = [*app_config.lifespan, self._running]
        return app_config

    @asynccontextmanager
    async def _running(self, _app: Litestar) -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            group.start_soon(self.hub.run, self._stopping)
            yield
            group.cancel_scope.cancel()


def _always(thing: object) -> Provide:
    def provide() -> Any:
        return thing

    return Provide(provide, sync_to_thread=False)
