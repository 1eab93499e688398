"""Composition root: the only place that builds everything from settings.

Two ways in: `run` is a whole replica (actors, API and what holds them together), `attached` is what a
command needs that reads the same database and venues. Whatever is opened here is closed here, in reverse.
"""

import gc
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import anyio
import structlog

from botwarden.actors.surroundings import Rules, Surroundings
from botwarden.actors.warden import RowsWritten, WardenActor
from botwarden.exchange.binance import BinanceExchange
from botwarden.exchange.errors import UnreadableSecret
from botwarden.exchange.paper.admin import PaperAdmin
from botwarden.exchange.port import Credentials, OpenSecret
from botwarden.exchange.symbols import SymbolCatalogue
from botwarden.exchange.venues import LIVE, TESTNET, paper_urls
from botwarden.http.app import create_app
from botwarden.http.dependencies import HttpDeps, HttpSettings
from botwarden.http.server import ApiServer
from botwarden.persistence.api_keys import open_api_key
from botwarden.persistence.broadcast import Broadcast
from botwarden.persistence.cache import JsonCache
from botwarden.persistence.database import Database
from botwarden.persistence.errors import SecretUnreadable
from botwarden.persistence.installation import read_tag
from botwarden.persistence.vault import Vault, keys_from_secret
from botwarden.runtime import ChildSpec, Clock, Restart, System, SystemClock
from botwarden.settings import Settings
from botwarden.trading.bot import ApiKeyId, Venue

log = structlog.get_logger()

#: An order that nobody knows counts as absent this long after its window: on the real venues the API's own
#: time-out is 10 s and reads lag behind the engine.
ABSENCE_MARGIN = {
    Venue.PAPER: timedelta(seconds=1),
    Venue.TESTNET: timedelta(seconds=40),
    Venue.LIVE: timedelta(seconds=40),
}


#: Nobody who asks over HTTP waits longer for a database that has fallen silent.
API_STATEMENT_MS = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """Doors to the database, to Redis and to the venues."""

    settings: Settings
    clock: Clock
    database: Database
    broadcast: Broadcast
    cache: JsonCache
    vault: Vault
    exchange: BinanceExchange
    symbols: SymbolCatalogue


@asynccontextmanager
async def attached(settings: Settings) -> AsyncIterator[Backend]:
    """Open the doors, keep what is behind them alive, and close them in reverse."""
    clock = SystemClock()
    vault = Vault(keys_from_secret(settings.secret_key, *settings.previous_secret_keys))
    async with AsyncExitStack() as stack:
        database = Database.connect(
            settings.database_url, name=f"botwarden {settings.replica_name}", pool_size=settings.db_pool_size
        )
        stack.push_async_callback(database.close)
        broadcast = Broadcast(settings.redis_url)
        stack.push_async_callback(broadcast.close)
        cache = JsonCache(settings.redis_url)
        stack.push_async_callback(cache.close)
        exchange = BinanceExchange(
            {Venue.PAPER: paper_urls(settings.paper_url), Venue.TESTNET: TESTNET, Venue.LIVE: LIVE},
            secret_opener(database, vault),
            clock,
            receive_window=timedelta(milliseconds=settings.recv_window_ms),
            request_timeout_s=settings.order_timeout_s,
        )
        stack.push_async_callback(exchange.close)
        duties = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(duties.cancel_scope.cancel)
        duties.start_soon(exchange.run)
        duties.start_soon(broadcast.run)
        yield Backend(
            settings=settings,
            clock=clock,
            database=database,
            broadcast=broadcast,
            cache=cache,
            vault=vault,
            exchange=exchange,
            symbols=SymbolCatalogue(exchange, cache, clock),
        )


def secret_opener(database: Database, vault: Vault) -> OpenSecret:
    """Return how the exchange room gets at a key: from the database, through the vault."""

    async def open_secret(api_key_id: ApiKeyId) -> Credentials:
        try:
            async with database.read() as tx:
                api_key, secret_key = await open_api_key(tx, vault, api_key_id)
        except SecretUnreadable as unreadable:
            raise UnreadableSecret(str(unreadable)) from None
        return Credentials(api_key=api_key, secret_key=secret_key)

    return open_secret


async def run(
    settings: Settings,
    listener: socket.socket,
    *,
    on_ready: Callable[[str], Awaitable[None]],
    stopping: anyio.Event,
) -> None:
    """Run one replica until `stopping` is set."""
    async with (
        attached(settings) as backend,
        _api_database(settings) as api_database,
        PaperAdmin(settings.paper_url, settings.paper_admin_token) as paper_admin,
        System.open("botwarden", clock=backend.clock, on_crash=_log_crash) as system,
    ):
        surroundings = await _surroundings(backend)
        warden = await system.spawn(
            ChildSpec(
                name="warden",
                start=lambda: WardenActor(surroundings, system.tree),
                restart=Restart.PERMANENT,
                stop_within_s=30.0,
            )
        )
        await backend.broadcast.on_wake(lambda bot_ids: warden.tell(RowsWritten(bot_ids=bot_ids)))
        app = create_app(http_deps(backend, api_database, paper_admin, stopping))
        server = ApiServer(app, listener)
        _tune_collector()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve)
            await on_ready(await server.address())
            await stopping.wait()
            await server.stop()


def _log_crash(name: str, error: BaseException, restarts: int) -> None:
    log.error("actor.crashed", actor=name, restarts=restarts, exc_info=error)


@asynccontextmanager
async def _api_database(settings: Settings) -> AsyncIterator[Database]:
    """Open a pool of the API's own: however many requests wait for a locked row, trading has connections."""
    database = Database.connect(
        settings.database_url,
        name="botwarden api",
        pool_size=settings.db_api_pool_size,
        statement_timeout_ms=API_STATEMENT_MS,
    )
    try:
        yield database
    finally:
        await database.close()


def http_deps(
    backend: Backend, database: Database, paper_admin: PaperAdmin, stopping: anyio.Event
) -> HttpDeps:
    """Return what the API needs."""
    settings = backend.settings
    return HttpDeps(
        database=database,
        broadcast=backend.broadcast,
        cache=backend.cache,
        vault=backend.vault,
        exchange=backend.exchange,
        symbols=backend.symbols,
        paper_admin=paper_admin,
        clock=backend.clock,
        stopping=stopping,
        settings=HttpSettings(
            registration_open=settings.registration == "open",
            token_hours=settings.token_hours,
            secure_cookies=settings.secure_cookies,
            cors_origins=settings.cors_origins,
            heartbeat_s=settings.stream_heartbeat_s,
            metrics_token=settings.metrics_token or None,
            lock_wait_s=settings.lock_wait_ms / 1000,
        ),
    )


async def _surroundings(backend: Backend) -> Surroundings:
    settings = backend.settings
    async with backend.database.read() as tx:
        tag = await read_tag(tx)
    return Surroundings(
        database=backend.database,
        direct_url=settings.database_direct_url or settings.database_url,
        broadcast=backend.broadcast,
        cache=backend.cache,
        exchange=backend.exchange,
        symbols=backend.symbols,
        clock=backend.clock,
        tag=tag,
        replica_name=settings.replica_name,
        rules=Rules(
            receive_window=timedelta(milliseconds=settings.recv_window_ms),
            absence_margin=ABSENCE_MARGIN,
            reset_reactivates_all=settings.reset_reactivates == "all",
            keep_events_days=settings.keep_events_days,
        ),
    )


def _tune_collector() -> None:
    """Spare the garbage collector what lives for ever."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 1_000)
