"""Our own adapter trades on the paper exchange: the two halves of the exchange room fit together."""

import random
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import anyio
import pytest

from botwarden.exchange import account as adapter
from botwarden.exchange.binance import BinanceExchange
from botwarden.exchange.paper.admin import PaperAdmin
from botwarden.exchange.port import Credentials, Found, NotFound, StreamRestored
from botwarden.exchange.venues import paper_urls
from botwarden.runtime import SystemClock
from botwarden.trading.bot import ApiKeyId, Venue
from botwarden.trading.candles import Candle, PriceTick
from botwarden.trading.orders import Executed, Rejected
from tests.exchange.paper.conftest import OpenHouse
from tests.exchange.paper.house import KEY, SECRET, TOKEN, House
from tests.exchange.samples import an_order

pytestmark = pytest.mark.anyio


@pytest.fixture
async def fast(open_house: OpenHouse) -> AsyncIterator[House]:
    """A market whose minutes last a fifth of a second."""
    async with open_house(speed=300.0) as house:
        yield house


@pytest.fixture
async def exchange(fast: House) -> AsyncIterator[BinanceExchange]:
    """The adapter, pointed at the paper exchange and running."""

    async def open_secret(_api_key_id: ApiKeyId) -> Credentials:
        return Credentials(api_key=KEY, secret_key=SECRET)

    made = BinanceExchange(
        {Venue.PAPER: paper_urls(fast.origin)},
        open_secret,
        SystemClock(),
        rng=random.Random(1),  # noqa: S311
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.run)
        yield made
        tasks.cancel_scope.cancel()
    await made.close()


async def test_orders_and_reads(exchange: BinanceExchange) -> None:
    """An order is executed once, found by our id, and its fills and the balances agree."""
    account = await exchange.account(Venue.PAPER, ApiKeyId(1))
    market = exchange.market(Venue.PAPER)
    at = await market.clock.ask()
    order = an_order(quantity_base=Decimal("0.25"), intended_at=at)
    placed = await account.place(order)
    assert isinstance(placed, Executed)
    assert sum(fill.quantity_base for fill in placed.fills) == Decimal("0.25")
    found = await account.find_order("BTCUSDT", order.client_order_id)
    assert isinstance(found, Found)
    assert abs(found.created_at - at) < timedelta(seconds=5)
    read = await account.fills("BTCUSDT", placed.venue_order_id)
    assert [fill.venue_trade_id for fill in read] == [fill.venue_trade_id for fill in placed.fills]
    assert await account.find_order("BTCUSDT", "never-sent") == NotFound()
    held = {balance.asset: balance.free for balance in await account.balances()}
    assert held["BTC"] == Decimal("0.25") - sum(fill.commission for fill in placed.fills)
    assert [found.venue_order_id for found in await account.orders_since("BTCUSDT", 0)] == [
        placed.venue_order_id
    ]
    assert len(await account.trades_since("BTCUSDT", 0)) == len(placed.fills)
    late = an_order(
        quantity_base=Decimal("9000.1"), intended_at=await market.clock.ask(), client_order_id="bw-tag-1-2"
    )
    assert isinstance(await account.place(late), Rejected)
    await account.close()


async def test_backfill_and_live_candles_join(exchange: BinanceExchange) -> None:
    """What the stream closes goes on where REST's closed candles end, without a hole or a difference."""
    market = exchange.market(Venue.PAPER)
    assert set(await market.instruments()) == {"BTCUSDT", "ETHUSDT"}
    live: list[Candle] = []
    ticks: list[PriceTick] = []
    with anyio.fail_after(20):
        stream = market.stream("BTCUSDT", ["1m"])
        async for event in stream:
            if isinstance(event, StreamRestored):
                backfill = await market.candles("BTCUSDT", "1m", limit=100)
            elif isinstance(event, Candle):
                live.append(event)
            elif isinstance(event, PriceTick):
                ticks.append(event)
            if len(live) == 5:
                break
        await stream.aclose()
    assert len(backfill) == 100
    known = {candle.opened_at: candle for candle in backfill}
    assert all(known[candle.opened_at] == candle for candle in live if candle.opened_at in known)
    assert min(candle.opened_at for candle in live) <= backfill[-1].opened_at + timedelta(minutes=1)
    shown = {candle.opened_at: candle for candle in await market.candles("BTCUSDT", "1m", limit=100)}
    assert [shown[candle.opened_at] for candle in live] == live
    assert ticks


async def test_all_fills_of_an_order_are_read(
    fast: House, exchange: BinanceExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order that took many levels of a thin book is read whole, however few an answer holds."""
    async with PaperAdmin(fast.origin, TOKEN) as admin:
        await admin.change_symbols("BTCUSDT", liquidity=1)
    account = await exchange.account(Venue.PAPER, ApiKeyId(1))
    at = await exchange.market(Venue.PAPER).clock.ask()
    placed = await account.place(an_order(quantity_base=Decimal("0.25"), intended_at=at))
    assert isinstance(placed, Executed)
    assert len(placed.fills) > 6
    # Smaller pages, so that there are several without a thousand fills.
    monkeypatch.setattr(adapter, "PAGE", 3)
    assert await account.fills("BTCUSDT", placed.venue_order_id) == placed.fills
