"""The paper exchange as a server: puts everything together, and takes it apart again.

The invariant: `on_ready` is called when requests are answered, and when `serve` has ended, everything
that was ever answered is on disk.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
from aiohttp import web

from botwarden.exchange.paper import (
    rest_account,
    rest_lists,
    rest_market,
    rest_tickers,
    rest_trade,
    sockets,
    ws_api,
)
from botwarden.exchange.paper.admin_rest import Admin
from botwarden.exchange.paper.gate import PREFIX, Gate
from botwarden.exchange.paper.options import PaperOptions
from botwarden.exchange.paper.times import ServerClock, SystemServerClock
from botwarden.exchange.paper.venue import PaperVenue, open_venue

ENDPOINTS = {
    **rest_market.ENDPOINTS,
    **rest_tickers.ENDPOINTS,
    **rest_account.ENDPOINTS,
    **rest_trade.ENDPOINTS,
    **rest_lists.ENDPOINTS,
}

#: Where the venue keeps how an account wants to be treated.
SETTINGS_PREFIX = "/sapi/v1/"

#: Bodies are small forms.
LARGEST_BODY = 64 * 1024


def create_app(venue: PaperVenue) -> web.Application:
    """Return the web application of a venue."""
    app = web.Application(client_max_size=LARGEST_BODY)
    app.router.add_route("*", PREFIX + "{path:.*}", Gate(venue, ENDPOINTS).serve)
    settings = Gate(venue, rest_account.SETTINGS, prefix=SETTINGS_PREFIX)
    app.router.add_route("*", SETTINGS_PREFIX + "{path:.*}", settings.serve)
    sockets.add_routes(app, venue)
    ws_api.add_routes(app, venue)
    Admin(venue).add_routes(app)
    return app


@asynccontextmanager
async def opened(
    options: PaperOptions, clock: ServerClock | None = None
) -> AsyncIterator[tuple[PaperVenue, str]]:
    """Run a paper exchange while the block runs; yields it and its address."""
    async with AsyncExitStack() as stack:
        venue = await open_venue(options, clock or SystemServerClock())
        stack.callback(venue.store.close)
        runner = web.AppRunner(
            create_app(venue), access_log=None, handler_cancellation=False, shutdown_timeout=0.5
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        stack.callback(venue.faults.clear)  # Nothing is held up by a fault from here on.
        site = web.TCPSite(runner, options.host, options.port, backlog=1024)
        await site.start()
        tasks = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(tasks.cancel_scope.cancel)
        tasks.start_soon(venue.run_market)
        tasks.start_soon(venue.run_notes)
        tasks.start_soon(venue.store.failure)
        tasks.start_soon(lambda: venue.streams.run(speed=options.speed))
        stack.callback(venue.note_position)
        yield venue, _address(runner)


async def serve(options: PaperOptions, *, on_ready: Callable[[str], None]) -> None:
    """Run a paper exchange until cancelled. `on_ready` is given its address, such as http://127.0.0.1:7070.

    Raises:
        SourceError, StoreError: it cannot start, or its store cannot be written any more.
    """
    async with opened(options) as (_, address):
        on_ready(address)
        await anyio.sleep_forever()


def _address(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
