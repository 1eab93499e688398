"""The public market that a live paper market follows, asked by REST: its symbols and its candles. No key.

Source: Binance spot API, market data only endpoints.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import aiohttp
import anyio
import msgspec

from botwarden.errors import Unavailable
from botwarden.exchange.paper.amounts import UNIT, units
from botwarden.exchange.paper.bars import Bar
from botwarden.exchange.paper.instruments import PaperInstrument
from botwarden.exchange.paper.source import SourceError

WITHIN_S = 10.0

#: Most rows of one answer. Source: Binance spot API, klines, limit.
PAGE = 1000


#: How long nothing is asked after "too much", when it is not said.
_PAUSE_S: dict[int, float] = {HTTPStatus.TOO_MANY_REQUESTS: 60.0, HTTPStatus.IM_A_TEAPOT: 120.0}


class _NotThere(Exception):  # noqa: N818 - an answer, not an error
    """The public market does not know what was asked for."""


class Upstream:
    """One public market."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None
        #: Until when nothing is asked, by the loop's clock: the public market wants to be left alone.
        self._paused_until = 0.0

    async def instruments(self, symbols: Sequence[str]) -> dict[str, PaperInstrument]:
        """Return the rules of these symbols.

        Raises:
            SourceError: one is not known there.
            Unavailable: no answer.
        """
        try:
            shown = await self._shown(symbols)
        except _NotThere:
            unknown = [symbol for symbol in symbols if not await self._knows(symbol)]
            names = ", ".join(unknown or symbols)
            raise SourceError(f"the public market has no {names}") from None
        return {one["symbol"]: _instrument(one) for one in shown}

    async def statuses(self, symbols: Sequence[str]) -> dict[str, str]:
        """Return whether these symbols trade; BREAK of one that is gone.

        Raises:
            Unavailable: no answer.
        """
        try:
            return {one["symbol"]: one["status"] for one in await self._shown(symbols)}
        except _NotThere:
            known = [symbol for symbol in symbols if await self._knows(symbol)]
        gone = dict.fromkeys(set(symbols) - set(known), "BREAK")
        return gone | {one["symbol"]: one["status"] for one in await self._shown(known)}

    async def _shown(self, symbols: Sequence[str]) -> list[Any]:
        wanted = msgspec.json.encode(list(symbols)).decode()
        found: list[Any] = (await self._get("exchangeInfo", symbols=wanted))["symbols"]
        return found

    async def _knows(self, symbol: str) -> bool:
        try:
            return bool(await self._shown([symbol]))
        except _NotThere:
            return False

    async def bars(self, symbol: str, interval: str, **bounds: int | None) -> list[Bar]:
        """Return candles, oldest first; the last may be unfinished. `bounds` are those of GET klines.

        Raises:
            Unavailable: no answer.
        """
        given = {name: value for name, value in bounds.items() if value is not None}
        try:
            rows = await self._get("klines", symbol=symbol, interval=interval, **given)
        except _NotThere:
            raise Unavailable(f"the public market at {self.url} has no such candles") from None
        return [_bar(row) for row in rows]

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _get(self, path: str, **params: Any) -> Any:
        if anyio.current_time() < self._paused_until:
            raise Unavailable(f"the public market at {self.url} asked for a pause")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=WITHIN_S), cookie_jar=aiohttp.DummyCookieJar()
            )
        try:
            async with self._session.get(f"{self.url}/api/v3/{path}", params=params) as answer:
                body = await answer.read()
                status = answer.status
                asked = answer.headers.get("Retry-After", "")
            if status in _PAUSE_S:
                pause_s = float(asked) if asked.isdecimal() else _PAUSE_S[status]
                self._paused_until = anyio.current_time() + pause_s
            if status == HTTPStatus.BAD_REQUEST:
                raise _NotThere
            if status != HTTPStatus.OK:
                raise Unavailable(f"the public market at {self.url} answers with status {status}")
            return msgspec.json.decode(body)
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError) as failed:
            raise Unavailable(
                f"the public market at {self.url} does not answer ({type(failed).__name__})"
            ) from None


def _instrument(shown: Mapping[str, Any]) -> PaperInstrument:
    rules = {one["filterType"]: one for one in shown["filters"]}
    notional = rules.get("NOTIONAL") or rules.get("MIN_NOTIONAL") or {}
    tick, step = units(rules["PRICE_FILTER"]["tickSize"]), units(rules["LOT_SIZE"]["stepSize"])
    if tick * step % UNIT:
        raise SourceError(f"{shown['symbol']}: its prices and sizes have more than eight decimals together")
    return PaperInstrument(
        symbol=shown["symbol"],
        base=shown["baseAsset"],
        quote=shown["quoteAsset"],
        tick=tick,
        step=step,
        min_notional=units(notional.get("minNotional", "0")),
        home_price=units(rules["PRICE_FILTER"]["maxPrice"]) // 100,
        volatility=0.0,
        daily_quote=0,
    )


def _bar(row: Sequence[Any]) -> Bar:
    opened_ms, opened, high, low, closed, volume, _, quote, trades, taker, taker_quote, *_ = row
    prices = units(opened), units(high), units(low), units(closed)
    return Bar(opened_ms, *prices, units(volume), units(quote), trades, units(taker), units(taker_quote))
