"""A paper market that follows a public one, played here by another paper exchange."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import anyio.lowlevel
import pytest

from botwarden.errors import Unavailable
from botwarden.exchange.paper import live as live_module
from botwarden.exchange.paper.admin import PaperAdmin
from botwarden.exchange.paper.fault_events import ConnectionFault
from botwarden.exchange.paper.faults import RequestFault
from botwarden.exchange.paper.live_upstream import Upstream
from botwarden.exchange.paper.server import opened
from botwarden.exchange.paper.source import SourceError
from tests.exchange.paper.house import KEY, SECRET, TOKEN, House, Wire, client_of, options, price_of, say

pytestmark = pytest.mark.anyio

SYMBOLS = ["BTCUSDT", "ETHUSDT"]


async def until(condition: Callable[[], Any]) -> None:
    """Return once it is so."""
    with anyio.fail_after(25):
        while not condition():
            await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def following(public: House, folder: Path, **more: Any) -> AsyncIterator[House]:
    """Open a paper exchange that follows this one."""
    wish = {
        "market": "live",
        "seed": None,
        "symbols": SYMBOLS,
        "live_url": public.origin,
        "live_stream_url": public.origin.replace("http", "ws"),
        "store": folder / "live.sqlite",
        **more,
    }
    async with AsyncExitStack() as stack:
        venue, origin = await stack.enter_async_context(opened(options(folder, **wish)))
        admin = await stack.enter_async_context(PaperAdmin(origin, TOKEN))
        await admin.register(KEY, SECRET)
        client = client_of(origin)
        stack.push_async_callback(client.session.close)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield House(venue, origin, Wire(http, origin), client)


@pytest.fixture
async def live(house: House, tmp_path: Path) -> AsyncIterator[House]:
    """A market that follows the house's, and is open."""
    async with following(house, tmp_path) as one:
        await until(lambda: all(symbol.is_open for symbol in one.venue.market.symbols.values()))
        yield one


def step(public: House) -> int:
    """Let the public market move on; returns its price of bitcoin."""
    public.venue.market.step(public.venue.clock.now_ms())
    return public.venue.market.symbols["BTCUSDT"].price or 0


def close_minute(public: House) -> int:
    """Let the public market's minute close; returns its opening."""
    minute_ms = public.venue.market.minute_ms
    while public.venue.market.minute_ms == minute_ms:
        step(public)
    return minute_ms


async def test_prices_follow(house: House, live: House) -> None:
    """Each price of the public market becomes the price here."""
    mine = live.venue.market.symbols["BTCUSDT"]
    for _ in range(3):
        price = step(house)
        await until(lambda price=price: mine.price == price)
    told = await live.client.get_symbol_ticker(symbol="BTCUSDT")
    assert abs(float(told["price"]) * 10**8 - price) < 0.01 * price


async def test_rules_are_the_public_ones(house: House, live: House) -> None:
    """Ticks, steps and smallest orders are those of the public market; only what is followed is there."""
    theirs = {one["symbol"]: one for one in (await house.client.get_exchange_info())["symbols"]}
    mine = {one["symbol"]: one for one in (await live.client.get_exchange_info())["symbols"]}
    assert set(mine) == set(SYMBOLS)
    for symbol in SYMBOLS:
        for kind in ("PRICE_FILTER", "LOT_SIZE", "NOTIONAL"):
            (of_theirs,) = [one for one in theirs[symbol]["filters"] if one["filterType"] == kind]
            (of_mine,) = [one for one in mine[symbol]["filters"] if one["filterType"] == kind]
            keys = ("tickSize", "stepSize", "minNotional")
            assert {key: of_mine.get(key) for key in keys} == {key: of_theirs.get(key) for key in keys}


async def test_candles_are_the_public_ones(house: House, live: House) -> None:
    """A minute that closes there closes here once, with the same numbers; history of any interval as well."""
    async with live.wire.http.ws_connect(f"{live.origin}/ws/btcusdt@kline_1m") as socket:
        closed_ms = close_minute(house)
        with anyio.fail_after(25):
            while True:
                told = (await socket.receive_json())["k"]
                if told["x"] and told["t"] == closed_ms:
                    break
    wish = {"symbol": "BTCUSDT", "interval": "1m", "startTime": closed_ms, "limit": 1}
    (theirs,) = await house.client.get_klines(**wish)
    (mine,) = await live.client.get_klines(**wish)
    assert mine == theirs
    assert [told["o"], told["h"], told["l"], told["c"], told["v"]] == theirs[1:6]
    for interval in ("15m", "4h"):
        wish = {"symbol": "ETHUSDT", "interval": interval, "limit": 20, "endTime": closed_ms}
        assert (await live.client.get_klines(**wish))[:-1] == (await house.client.get_klines(**wish))[:-1]


async def test_orders_fill_on_paper(house: House, live: House) -> None:
    """Orders here fill at the public price, on the account here; the public market hears nothing of it."""
    order = (await live.wire.order(quantity="0.01")).body
    assert order["status"] == "FILLED"
    price = house.venue.market.symbols["BTCUSDT"].price or 0
    assert abs(float(order["fills"][0]["price"]) * 10**8 - price) < 0.01 * price
    assert await live.free("BTC") == "0.00999000"
    assert await house.free("BTC") == "0.00000000"
    assert await house.client.get_all_orders(symbol="BTCUSDT") == []


async def no_rest(admin: PaperAdmin) -> None:
    """Let requests fail until the faults are cleared."""
    away = RequestFault(on="* *", executes="no", answer="html", status=503, times=None)
    await admin.add_fault(away)


async def test_a_silent_public_market_is_no_market(house: House, live: House) -> None:
    """While the public market is away nobody trades here; with its next price trade goes on."""
    symbols = live.venue.market.symbols.values()
    async with PaperAdmin(house.origin, TOKEN) as admin:
        await admin.add_fault(ConnectionFault(on="/stream", effect="html", status=503, times=None))
        await no_rest(admin)
        await admin.end_streams("*", how="closed")
        await until(lambda: all(symbol.status == "BREAK" for symbol in symbols))
        refused = await live.wire.order()
        assert (refused.code, refused.body["msg"]) == (-1013, "Market is closed.")
        candles = await live.wire.send("GET", "klines", query="symbol=BTCUSDT&interval=1h", key=None)
        assert (candles.status, candles.code) == (500, -1001)
        await admin.clear_faults()
    await until(lambda: all(symbol.is_open for symbol in symbols))
    assert (await live.wire.order()).body["status"] == "FILLED"


async def test_candles_that_cannot_be_fetched_hold_up_no_price(
    house: House, live: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While only the candles are away prices go on; the minutes that were missed are there afterwards."""
    # The real pause, shortened: a live market moves by the real clock.
    monkeypatch.setattr(live_module, "AGAIN_AFTER_S", 0.05)
    mine = live.venue.market.symbols["BTCUSDT"]
    async with PaperAdmin(house.origin, TOKEN) as admin:
        await no_rest(admin)
        first_ms, second_ms = close_minute(house), close_minute(house)
        for _ in range(3):
            price = step(house)
            await until(lambda price=price: mine.price == price)
        assert mine.is_open
        await admin.clear_faults()
    theirs, ours = (one.venue.market.source.minutes for one in (house, live))
    await until(lambda: ours("BTCUSDT", second_ms, second_ms + 1))
    assert ours("BTCUSDT", first_ms, second_ms + 1) == theirs("BTCUSDT", first_ms, second_ms + 1)


async def test_an_order_waits_through_an_outage(house: House, live: House) -> None:
    """What the public market did while it was away fills nothing; its next price fills what it reaches."""
    resting = {"type": "LIMIT", "timeInForce": "GTC", "price": "60000.00", "quantity": "0.010"}
    say(house, Decimal(64_000))
    await until(lambda: price_of(live) == 64_000)
    order = (await live.wire.order(**resting)).body
    async with PaperAdmin(house.origin, TOKEN) as admin:
        await admin.add_fault(ConnectionFault(on="/stream", effect="html", status=503, times=None))
        await admin.end_streams("*", how="closed")
        await until(lambda: not live.venue.market.symbols["BTCUSDT"].is_open)
        say(house, Decimal(59_000))
        found = await live.client.get_order(symbol="BTCUSDT", orderId=order["orderId"])
        assert found["status"] == "NEW"
        await admin.clear_faults()
    await until(lambda: live.venue.market.symbols["BTCUSDT"].is_open)
    say(house, Decimal(59_000))
    await until(lambda: not live.venue.engine.accounts.by_id[1].open_orders)


async def test_what_does_not_trade_there_does_not_trade_here(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A symbol that is halted, or gone, there is closed here, and opens when it trades again."""
    # The real pause, shortened: a live market moves by the real clock.
    monkeypatch.setattr(live_module, "STATUS_EVERY_S", 0.05)
    async with following(house, tmp_path) as live, PaperAdmin(house.origin, TOKEN) as admin:
        mine = live.venue.market.symbols
        await until(lambda: all(symbol.is_open for symbol in mine.values()))
        await admin.change_symbols("BTCUSDT", status="HALT")
        await until(lambda: mine["BTCUSDT"].status == "HALT")
        assert mine["ETHUSDT"].is_open
        await admin.change_symbols("BTCUSDT", status="TRADING")
        await until(lambda: mine["BTCUSDT"].is_open)
        await admin.delist("ETHUSDT")
        await until(lambda: mine["ETHUSDT"].status == "BREAK")


async def test_who_asks_for_a_pause_gets_it(house: House) -> None:
    """After a 429 nothing is asked for as long as the public market wants to be left alone."""
    upstream = Upstream(house.origin)
    async with PaperAdmin(house.origin, TOKEN) as admin:
        much: dict[str, Any] = {"answer": "error", "code": -1003, "retry_after_s": 600, "times": None}
        await admin.add_fault(RequestFault(name="much", on="GET klines", executes="no", **much))
        with pytest.raises(Unavailable, match="status 429"):
            await upstream.bars("BTCUSDT", "1m", limit=1)
        with pytest.raises(Unavailable, match="asked for a pause"):
            await upstream.bars("BTCUSDT", "1m", limit=1)
        shown = await admin.wait_for_fault("much")
    await upstream.close()
    assert shown["caught"] == 1


async def test_accounts_outlive_a_restart(house: House, tmp_path: Path) -> None:
    """After a restart accounts and open orders are there, and the market stands where the public one does."""
    async with following(house, tmp_path) as live:
        await until(lambda: live.venue.market.symbols["BTCUSDT"].is_open)
        await live.wire.order(quantity="0.01")
        resting = {"type": "LIMIT", "timeInForce": "GTC", "price": "30000.00", "newClientOrderId": "resting"}
        assert (await live.wire.order(**resting)).status == 200
    closed_ms = close_minute(house)
    async with following(house, tmp_path) as live:
        assert live.venue.market.minute_ms == closed_ms + 60_000
        assert await live.free("BTC") == "0.00999000"
        (order,) = await live.client.get_open_orders(symbol="BTCUSDT")
        assert order["clientOrderId"] == "resting"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"symbols": ["BTCUSDT", "NOPEUSDT"]}, "has no NOPEUSDT$"),
        ({"speed": 2.0}, "speed 1"),
        ({"live_url": "http://127.0.0.1:9"}, "http://127.0.0.1:9 does not answer"),
    ],
    ids=["symbol", "speed", "address"],
)
async def test_what_cannot_be_followed_is_named(
    house: House, tmp_path: Path, more: dict[str, Any], why: str
) -> None:
    """A symbol that is not there, a speed, a market that does not answer: said at once, by name."""
    with pytest.raises(SourceError, match=why):
        async with following(house, tmp_path, **more):
            pass
