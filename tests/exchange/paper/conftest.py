"""Paper exchanges to talk to, each on a free port with a store of its own."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from botwarden.exchange.paper.admin import PaperAdmin
from botwarden.exchange.paper.server import opened
from tests.exchange.paper.house import KEY, SECRET, TOKEN, House, PythonBinance, Wire, client_of, options
from tests.exchange.paper.talk import Talk, talking

OpenHouse = Callable[..., AbstractAsyncContextManager[House]]


@pytest.fixture
def open_house(tmp_path: Path) -> OpenHouse:
    """Opens paper exchanges; the same store unless told otherwise."""

    @asynccontextmanager
    async def open_one(**more: Any) -> AsyncIterator[House]:
        async with opened(options(tmp_path, **more)) as (venue, origin):
            async with PaperAdmin(origin, TOKEN) as admin:
                await admin.register(KEY, SECRET)
            client = client_of(origin)
            try:
                async with aiohttp.ClientSession() as http:
                    yield House(venue, origin, Wire(http, origin), client)
            finally:
                await client.session.close()

    return open_one


@pytest.fixture
async def house(open_house: OpenHouse) -> AsyncIterator[House]:
    """A synthetic market with one account that has 100,000 USDT."""
    async with open_house() as one:
        yield one


@pytest.fixture
async def talk(house: House) -> AsyncIterator[Talk]:
    """A connection to a synthetic market."""
    async with talking(house) as one:
        yield one


@pytest.fixture
async def library(house: House) -> AsyncIterator[PythonBinance]:
    """python-binance's own client, with its own websocket."""
    kind: Any = type(
        "Pointed",
        (PythonBinance,),
        {
            "API_URL": f"{house.origin}/api",
            "WS_API_URL": house.origin.replace("http", "ws") + "/ws-api/v3",
        },
    )
    client: PythonBinance = kind(KEY, SECRET)
    client.ws_api.TIMEOUT = 3  # Closing waits so long for a word more.
    yield client
    await client.close_connection()
