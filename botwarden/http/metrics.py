"""What a replica counts, and GET /metrics in Prometheus' text.

Labels are route templates, methods and statuses, never ids: the number of series does not grow with use.
"""

import hmac
import ipaddress
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from litestar import MediaType, Request, Response, get
from litestar.di import NamedDependency
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from botwarden.errors import Unauthorized
from botwarden.http.watcher import Tally

_BEGAN = "botwarden_began"
_LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Counted(Protocol):
    """A cache that counts."""

    hits: int
    misses: int


class StreamMetrics:
    """Figures of the live streams."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.open = Gauge("botwarden_streams_open", "Live streams that are open now.", registry=registry)
        #: Counted without a lock, a million times a second if need be.
        self.tally = Tally()
        registry.register(_Figures(self.collect))
        self.cut = Counter(
            "botwarden_streams_cut",
            "Live streams dropped because their client did not read.",
            registry=registry,
        )
        self.reread = Counter(
            "botwarden_hub_reads", "Times that the hub read everything watched again.", registry=registry
        )
        self.lag = Histogram(
            "botwarden_hub_lag_seconds",
            "From the database's time of a change to its arrival at the hub.",
            buckets=_LATENCY_BUCKETS,
            registry=registry,
        )

    def collect(self) -> Iterator[Metric]:
        """Yield what is counted elsewhere."""
        yield CounterMetricFamily(
            "botwarden_stream_messages",
            "Messages handed to clients of live streams.",
            value=self.tally.messages,
        )


class RequestMetrics:
    """Counts requests and measures how long they take until their answer begins."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("method", "route", "status")
        self._seconds = Histogram(
            "botwarden_http_request_seconds",
            "From a request's arrival to the beginning of its answer.",
            labels,
            buckets=_LATENCY_BUCKETS,
            registry=registry,
        )

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """Note when a request came; to be the outermost."""

        async def noted(scope: Scope, receive: Receive, send: Send) -> None:
            # A duration by the machine's own clock: no decision depends on it.
            scope["state"][_BEGAN] = time.perf_counter()
            await app(scope, receive, send)

        return noted

    async def before_send(self, message: Message, scope: Scope) -> None:
        """Measure when the answer begins, also one that tells of an error."""
        if message["type"] == "http.response.start" and _BEGAN in scope["state"]:
            labels = (str(scope.get("method")), scope["path_template"], str(message["status"]))
            self._seconds.labels(*labels).observe(time.perf_counter() - scope["state"][_BEGAN])


class CacheMetrics:
    """Figures of the cache."""

    def __init__(self, cache: Counted, registry: CollectorRegistry) -> None:
        self._cache = cache
        registry.register(_Figures(self.collect))

    def collect(self) -> Iterator[Metric]:
        """Yield hits and misses as they stand."""
        yield CounterMetricFamily("botwarden_cache_hits", "Reads answered by Redis.", value=self._cache.hits)
        yield CounterMetricFamily(
            "botwarden_cache_misses", "Reads that had to be loaded.", value=self._cache.misses
        )


class _Figures(Collector):
    """Counters that somebody else keeps, read when they are asked for."""

    def __init__(self, collect: Callable[[], Iterator[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterator[Metric]:
        """Yield them as they stand."""
        return self._collect()


class Metrics:
    """Everything that one application counts, in a registry of its own."""

    def __init__(self, cache: Counted | None = None, *, token: str | None = None) -> None:
        #: Opens /metrics to those who are not on this machine.
        self.token = token
        self.registry = CollectorRegistry()
        self.requests = RequestMetrics(self.registry)
        self.streams = StreamMetrics(self.registry)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        if cache is not None:
            CacheMetrics(cache, self.registry)


def may_read_metrics(request: Request[Any, Any, Any], token: str | None) -> bool:
    """Whether the request comes from this machine itself, or with the token."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if token and scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), token.encode()):
        return True
    # What a proxy on this machine passes on comes from somewhere else.
    if any(name in request.headers for name in ("forwarded", "x-forwarded-for", "x-real-ip", "via")):
        return False
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


@get("/metrics", media_type=MediaType.TEXT, opt={"exclude_from_auth": True}, include_in_schema=False)
async def read_metrics(request: Request[Any, Any, Any], metrics: NamedDependency[Metrics]) -> Response[bytes]:
    """Return the figures of this replica."""
    if not may_read_metrics(request, metrics.token):
        raise Unauthorized
    return Response(generate_latest(metrics.registry), media_type="text/plain; version=0.0.4")


routes = [read_metrics]
