"""Clients of a paper exchange, and small markets to run it on."""

import json
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
from binance import AsyncClient
from yarl import URL

from botwarden.exchange.paper.amounts import units
from botwarden.exchange.paper.options import PaperOptions
from botwarden.exchange.paper.security import sign
from botwarden.exchange.paper.venue import PaperVenue

TOKEN = "admin-token"
KEY, SECRET = "k" * 32, "s" * 32

MINUTE = 60_000
#: 2024-01-01 00:00 UTC.
NEW_YEAR_MS = 1_704_067_200_000


def options(folder: Path, **more: Any) -> PaperOptions:
    """A quiet synthetic market: a price every second, on few symbols."""
    wish: dict[str, Any] = {
        "store": folder / "paper.sqlite",
        "seed": 7,
        "symbols": ["BTCUSDT", "ETHUSDT"],
        "admin_token": TOKEN,
    }
    return PaperOptions(**(wish | more))


def write_klines(path: Path, rows: list[tuple[Any, ...]], *, header: bool = False) -> Path:
    """Write a kline file."""
    lines = [",".join(str(cell) for cell in row) for row in rows]
    if header:
        lines.insert(0, "open_time,open,high,low,close,volume")
    path.write_text("\n".join(lines) + "\n")
    return path


def minutes(count: int, *, start_ms: int = NEW_YEAR_MS, price: int = 100) -> list[tuple[Any, ...]]:
    """Minutes that go up by one, each with a low and a high."""
    return [
        (
            start_ms + MINUTE * number,
            price + number,
            price + number + 1.5,
            price + number - 0.5,
            price + number + 1,
            "12.50",
        )
        for number in range(count)
    ]


class PythonBinance(AsyncClient):  # type: ignore[misc]  # the library ships no types
    """The library as it is, pointed at another address."""

    REQUEST_TIMEOUT = 10


def client_of(origin: str, *, key: str = KEY, secret: str = SECRET) -> PythonBinance:
    """Return python-binance's own client for a venue at this origin."""
    kind = type("Pointed", (PythonBinance,), {"API_URL": f"{origin}/api", "MARGIN_API_URL": f"{origin}/sapi"})
    client: PythonBinance = kind(key, secret)
    return client


@dataclass(frozen=True)
class Answered:
    """What came back."""

    status: int
    body: Any
    headers: dict[str, str]

    @property
    def code(self) -> int:
        """The venue's error code; 0 when all is well."""
        return int(self.body.get("code", 0)) if isinstance(self.body, dict) else 0


@dataclass(frozen=True)
class Wire:
    """Requests byte by byte."""

    http: aiohttp.ClientSession
    origin: str

    async def send(
        self, method: str, path: str, *, query: str = "", body: str = "", key: str | None = KEY
    ) -> Answered:
        """Send exactly this."""
        url = f"{self.origin}/api/v3/{path}" + (f"?{query}" if query else "")
        headers = {} if key is None else {"X-MBX-APIKEY": key}
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"

        async with self.http.request(
            method, URL(url, encoded=True), data=body.encode() or None, headers=headers
        ) as answer:
            text = await answer.text()
            is_json = answer.content_type == "application/json"
            return Answered(answer.status, json.loads(text) if is_json else text, dict(answer.headers))

    async def signed(self, method: str, path: str, **params: Any) -> Answered:
        """Send a request with a good signature, its parameters in the query string."""
        return await self.send(method, path, query=signed(params))

    async def order(self, **params: Any) -> Answered:
        """Place an order; a small purchase at market unless said otherwise."""
        plain = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET"}
        if "quoteOrderQty" not in params:
            plain["quantity"] = "0.001"
        wish = {name: value for name, value in (plain | params).items() if value is not None}
        return await self.signed("POST", "order", **wish)


def signed(params: dict[str, Any], *, secret: str = SECRET) -> str:
    """Return the parameters as a signed query string; `timestamp` is now unless given."""
    sent = {"timestamp": time.time_ns() // 1_000_000, **params}
    payload = urlencode(sent)
    return f"{payload}&signature={sign(secret, payload.encode())}"


@dataclass(frozen=True)
class House:
    """A running paper exchange with one account on it."""

    venue: PaperVenue
    origin: str
    wire: Wire
    client: PythonBinance

    async def free(self, asset: str) -> str:
        """Return what the account has free of an asset."""
        account = await self.client.get_account()
        return next(item["free"] for item in account["balances"] if item["asset"] == asset)


def price_of(house: House, symbol: str = "BTCUSDT") -> Decimal:
    """Return the last price."""
    price = house.venue.market.symbols[symbol].price
    assert price is not None
    return Decimal(price).scaleb(-8)


def say(house: House, price: Decimal, *, quantity: str | None = None, symbol: str = "BTCUSDT") -> None:
    """Let the market trade at this price: one step, unless told how much."""
    market = house.venue.market.symbols[symbol]
    market.price = units(str(price))
    size = market.instrument.step if quantity is None else units(quantity)
    house.venue.market.trade(market, market.price, size, house.venue.clock.now_ms(), sold=False)
