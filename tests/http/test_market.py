"""What can be traded, and how its price went: asked of a venue as seldom as possible."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.exchange.raw_venue import RawVenue, answer
from tests.exchange.samples import exchange_info, symbol_info
from tests.http.stage import Stage, open_stage

pytestmark = pytest.mark.anyio

CANDLES = "/api/v1/symbols/BTCUSDT/candles"


def bar(minute: int) -> list[Any]:
    opened_ms = minute * 60_000
    return [opened_ms, "1.10", "2", "0.5", "1.5", "5", opened_ms + 59_999, "5", 1, "1", "1", "0"]


@pytest.fixture
async def venue() -> AsyncIterator[RawVenue]:
    venue = RawVenue()
    await venue.open()
    infos = [symbol_info(), symbol_info(symbol="AAVEUSDT", baseAsset="AAVE")]
    venue.always("/api/v3/exchangeInfo", answer(exchange_info(*infos)))
    venue.always("/api/v3/klines", answer([bar(minute) for minute in range(4)]))
    yield venue
    await venue.close()


@pytest.fixture
async def stage(database, redis_url, venue) -> AsyncIterator[Stage]:
    async with open_stage(database, redis_url, venue=venue.origin) as stage:
        yield stage


@pytest.fixture
async def token(stage):
    return await stage.token(await stage.house.user("ann@example.org"))


async def test_symbols_come_with_their_filters(stage, token):
    """What can be traded is listed by name, with the rules of its orders."""
    items = (await stage.get("/api/v1/symbols?venue=paper", token)).json()["items"]
    assert [item["symbol"] for item in items] == ["AAVEUSDT", "BTCUSDT"]
    assert {"base_asset", "quote_asset", "status", "tick_size", "step_size", "min_notional"} <= set(items[1])
    assert float(items[1]["min_notional"]) == 5


async def test_candles_come_oldest_first_and_are_asked_for_once(stage, token, venue):
    """Many charts of the same symbol cost the venue one request."""
    for _ in range(5):
        reply = await stage.get(f"{CANDLES}?venue=paper&interval=1m&limit=3", token)
        opened = [item["opened_at"] for item in reply.json()["items"]]
        assert opened == sorted(opened)
        assert len(opened) == 3
    assert len(venue.seen("/api/v3/klines")) == 1


async def test_odd_questions_are_refused(stage, token, venue):
    """What no venue has is refused before any venue is asked."""
    for query in (
        "venue=paper&interval=7m",
        "venue=paper&limit=0",
        "venue=paper&limit=1001",
        "venue=moon",
        "",
    ):
        assert (await stage.get(f"{CANDLES}?{query}", token)).status_code in (400, 422), query
    assert venue.requests == []


async def test_unknown_symbol_is_not_there(stage, token, venue):
    """A symbol that the venue does not list is not found, without asking for its candles."""
    assert (await stage.get("/api/v1/symbols/NOPE/candles?venue=paper", token)).status_code == 404
    assert venue.seen("/api/v3/klines") == []


async def test_venue_away_is_unavailable(stage, token, venue):
    """A venue that cannot be reached is told as such."""
    await venue.close()
    assert (await stage.get("/api/v1/symbols?venue=paper", token)).status_code == 503


async def test_strangers_are_not_let_in(stage):
    """The market's data is for users."""
    assert (await stage.get("/api/v1/symbols?venue=paper")).status_code == 401
