"""The live half as one piece that an application takes in: the hub, its background coroutine, the figures.

The hub runs from the application's start to its end, in a task group of the application's own.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.plugins import InitPlugin

from botwarden.http import health, market, metrics, runtime_view, status_stream, strategies
from botwarden.http.dependencies import HttpDeps
from botwarden.http.health import Checkup
from botwarden.http.hub import StatusHub
from botwarden.http.live_sources import BroadcastWord, DatabaseRows
from botwarden.http.metrics import Metrics

routes = [
    *status_stream.routes,
    *health.routes,
    *metrics.routes,
    *runtime_view.routes,
    *market.routes,
    *strategies.routes,
]


class LiveHalf(InitPlugin):
    """Adds the hub and the figures to an application."""

    def __init__(self, deps: HttpDeps) -> None:
        self._deps = deps
        self.metrics = Metrics(deps.cache, token=deps.settings.metrics_token)
        self.hub = StatusHub(
            rows=DatabaseRows(deps.database),
            word=BroadcastWord(deps.broadcast),
            clock=deps.clock,
            metrics=self.metrics.streams,
            heartbeat_s=deps.settings.stream_heartbeat_s,
            write_within_s=deps.settings.stream_write_within_s,
        )

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Offer what the handlers ask for, and run the hub while the application runs."""
        checkup = Checkup(self._deps)
        app_config.dependencies |= {
            "hub": Provide(lambda: self.hub, sync_to_thread=False, use_cache=True),
            "metrics": Provide(lambda: self.metrics, sync_to_thread=False, use_cache=True),
            "checkup": Provide(lambda: checkup, sync_to_thread=False, use_cache=True),
        }
        app_config.middleware.insert(0, self.metrics.requests.middleware)
        app_config.lifespan = [*app_config.lifespan, self._running]
        return app_config

    @asynccontextmanager
    async def _running(self, _app: Litestar) -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            group.start_soon(self.hub.run, self._deps.stopping)
            yield
            group.cancel_scope.cancel()
