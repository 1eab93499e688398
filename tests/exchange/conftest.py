"""Venues to talk to, and the adapter pointed at them."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from botwarden.exchange.account import BinanceAccount
from botwarden.exchange.binance import BinanceExchange
from botwarden.exchange.port import Credentials
from botwarden.exchange.venues import VenueUrls
from botwarden.runtime import SystemClock
from botwarden.trading.bot import ApiKeyId, Venue
from tests.exchange.raw_venue import RawVenue
from tests.exchange.samples import CREDENTIALS
from tests.exchange.stream_venue import StreamVenue

KEY = ApiKeyId(1)

JITTER = random.Random(7)  # noqa: S311 - a seed for pauses, not a secret


@pytest.fixture
async def raw() -> AsyncIterator[RawVenue]:
    """A venue made of bytes."""
    venue = RawVenue()
    await venue.open()
    yield venue
    await venue.close()


@pytest.fixture
async def spoken() -> AsyncIterator[StreamVenue]:
    """The market-stream side of a venue, driven by hand."""
    venue = StreamVenue()
    await venue.open()
    yield venue
    await venue.close()


@pytest.fixture
async def open_exchange() -> AsyncIterator[Callable[..., BinanceExchange]]:
    """Makes adapters for one REST origin (and one stream origin), closed afterwards."""
    async with AsyncExitStack() as stack:

        def make(
            origin: str,
            *,
            stream: str = "ws://127.0.0.1:9",
            credentials: Credentials = CREDENTIALS,
            **more: Any,
        ) -> BinanceExchange:
            async def open_secret(_api_key_id: ApiKeyId) -> Credentials:
                return credentials

            urls = VenueUrls(rest=f"{origin}/api", stream=stream)
            clock = more.pop("clock", None) or SystemClock()
            exchange = BinanceExchange({Venue.PAPER: urls}, open_secret, clock, rng=JITTER, **more)
            stack.push_async_callback(exchange.close)
            return exchange

        yield make


@pytest.fixture
async def exchange(raw: RawVenue, open_exchange: Callable[..., BinanceExchange]) -> BinanceExchange:
    """The adapter, pointed at the venue made of bytes."""
    return open_exchange(raw.origin)


@pytest.fixture
async def account(exchange: BinanceExchange) -> BinanceAccount:
    """The account of the sample key at the venue made of bytes."""
    return await exchange.account(Venue.PAPER, KEY)
