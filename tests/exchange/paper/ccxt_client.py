"""ccxt as it is, pointed at a paper exchange, and what it reads compared with python-binance.

Only addresses and the kinds of markets are set; nothing of the library is changed.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from typing import Any

import anyio
from ccxt.pro import binance

from tests.exchange.paper.house import KEY, SECRET, House, price_of

PAIR, SYMBOL = "BTC/USDT", "BTCUSDT"

#: Makes a client for a house, and for a key and its secret if it is not the house's own.
Open = Callable[..., Any]

OPTIONS = {"fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False, "fetchMargins": False}


def ccxt_client(house: House, key: str = KEY, secret: str = SECRET) -> Any:
    """Return a client: REST, streams and the WebSocket API."""
    words = {"apiKey": key, "secret": secret, "options": dict(OPTIONS)}
    client = binance({**words, "enableRateLimit": False})  # It would only wait; the venue counts anyway.
    api, websocket = client.urls["api"], house.origin.replace("http", "ws")
    api["public"] = api["private"] = f"{house.origin}/api/v3"
    api["sapi"] = f"{house.origin}/sapi/v1"
    api["ws"]["spot"] = f"{websocket}/ws"
    api["ws"]["ws-api"]["spot"] = f"{websocket}/ws-api/v3"
    # The library knows the errors of spot by the address of the live venue.
    client.exceptions["exact"] = {**client.exceptions["exact"], **client.exceptions["spot"]["exact"]}
    return client


@asynccontextmanager
async def closing_clients() -> AsyncIterator[Open]:
    """Yield what makes clients; they are closed at the end."""
    async with AsyncExitStack() as stack:

        def make(house: House, key: str = KEY, secret: str = SECRET) -> Any:
            client = ccxt_client(house, key, secret)
            stack.push_async_callback(client.close)
            return client

        yield make


def exact(number: Any) -> Decimal:
    """Return a number of either library, floats of ccxt or strings of the venue, as it is written."""
    return Decimal(str(number))


def levels(side: list[Any]) -> list[list[Decimal]]:
    """Return prices and sizes of one side of a book."""
    return [[exact(price), exact(size)] for price, size, *_ in side]


async def all_orders(house: House) -> list[Any]:
    """Return the orders as python-binance reads them."""
    found: list[Any] = await house.client.get_all_orders(symbol=SYMBOL)
    return found


def far(house: House) -> tuple[float, float]:
    """Return a price well below the market, and one well above."""
    price = price_of(house)
    return float(int(price * 9 / 10)), float(int(price * 11 / 10))


async def agree_on_money(house: House, client: Any) -> None:
    """Check that both libraries read the same balances."""
    balances = await client.fetch_balance()
    account = await house.client.get_account()
    assert {"BTC", "USDT"} <= {item["asset"] for item in account["balances"]}
    for item in account["balances"]:
        ours = balances[item["asset"]]
        assert (exact(ours["free"]), exact(ours["used"])) == (exact(item["free"]), exact(item["locked"]))


async def heard(answer: Awaitable[Any]) -> Any:
    """Return what a watch brings."""
    with anyio.fail_after(20):
        return await answer
