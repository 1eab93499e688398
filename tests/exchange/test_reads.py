"""Reads either answer, say that something is not there, or are `Unavailable`; nothing else gets out."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from botwarden.errors import Missing, Unavailable
from botwarden.exchange.account import PAGE, BinanceAccount
from botwarden.exchange.binance import BinanceExchange
from botwarden.exchange.errors import ClientFailed, UnreadableSecret, VenueRefused
from botwarden.exchange.port import Credentials, Found, NotFound
from botwarden.exchange.venues import VenueUrls
from botwarden.runtime import SystemClock
from botwarden.trading.bot import ApiKeyId, Venue
from botwarden.trading.orders import NeverSent
from tests.exchange.conftest import KEY
from tests.exchange.raw_venue import RawVenue, answer, half, reset
from tests.exchange.samples import (
    CLIENT_ID,
    CREDENTIALS,
    an_order,
    exchange_info,
    order_record,
    trade_record,
)

pytestmark = pytest.mark.anyio

READS: dict[str, tuple[str, Callable[[BinanceExchange, BinanceAccount], Awaitable[Any]]]] = {
    "find_order": ("/api/v3/order", lambda _, account: account.find_order("BTCUSDT", CLIENT_ID)),
    "open_orders": ("/api/v3/openOrders", lambda _, account: account.open_orders("BTCUSDT")),
    "fills": ("/api/v3/myTrades", lambda _, account: account.fills("BTCUSDT", 28)),
    "orders_since": ("/api/v3/allOrders", lambda _, account: account.orders_since("BTCUSDT", 0)),
    "orders_from": (
        "/api/v3/allOrders",
        lambda _, account: account.orders_from("BTCUSDT", datetime.now(UTC)),
    ),
    "trades_since": ("/api/v3/myTrades", lambda _, account: account.trades_since("BTCUSDT", 0)),
    "balances": ("/api/v3/account", lambda _, account: account.balances()),
    "instruments": ("/api/v3/exchangeInfo", lambda exchange, _: exchange.market(Venue.PAPER).instruments()),
    "candles": ("/api/v3/klines", lambda exchange, _: exchange.market(Venue.PAPER).candles("BTCUSDT", "1m")),
    "price": ("/api/v3/ticker/price", lambda exchange, _: exchange.market(Venue.PAPER).price("BTCUSDT")),
    "time": ("/api/v3/time", lambda exchange, _: exchange.market(Venue.PAPER).clock.ask()),
}


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize(
    "doing",
    [
        answer("<html>Bad Gateway</html>", status=502),
        answer({"code": -1007, "msg": "Timeout."}, status=504),
        answer({"code": -2015, "msg": "Invalid API-key."}, status=401),
        answer({"unexpected": True}),
        answer("\x00"),
        half({"serverTime": 1}),
    ],
    ids=["html", "-1007", "-2015", "shape", "noise", "half"],
)
async def test_no_answer_is_unavailable(
    raw: RawVenue, exchange: BinanceExchange, account: BinanceAccount, name: str, doing: Any
) -> None:
    """Whatever goes wrong with a read is told as `Unavailable`."""
    path, read = READS[name]
    raw.next(path, doing)
    with pytest.raises(Unavailable):
        await read(exchange, account)


async def test_lost_connection_is_unavailable(raw: RawVenue, account: BinanceAccount) -> None:
    """A read whose connection is reset has no answer."""
    raw.always("/api/v3/openOrders", reset)
    with pytest.raises(Unavailable):
        await account.open_orders("BTCUSDT")


async def test_unknown_symbol_is_missing(raw: RawVenue, exchange: BinanceExchange) -> None:
    """A symbol that the venue does not know is not there."""
    raw.always("/api/v3/klines", answer({"code": -1121, "msg": "Invalid symbol."}, status=400))
    with pytest.raises(Missing):
        await exchange.market(Venue.PAPER).candles("NOSUCH", "1m")


async def test_unknown_order_is_not_found(raw: RawVenue, account: BinanceAccount) -> None:
    """The venue's "does not exist" is a value, not a failure."""
    raw.next("/api/v3/order", answer({"code": -2013, "msg": "Order does not exist."}, status=400))
    assert isinstance(await account.find_order("BTCUSDT", CLIENT_ID), NotFound)
    assert raw.seen("/api/v3/order")[0].query["origClientOrderId"] == CLIENT_ID


async def test_known_order_is_found(raw: RawVenue, account: BinanceAccount) -> None:
    """The venue's record keeps its own status text."""
    raw.next("/api/v3/order", answer(order_record(status="EXPIRED_IN_MATCH")))
    found = await account.find_order("BTCUSDT", CLIENT_ID)
    assert isinstance(found, Found)
    assert (found.status, found.executed_quote) == ("EXPIRED_IN_MATCH", Decimal("50.1"))


async def test_pages_go_on_after_the_last_id(raw: RawVenue, account: BinanceAccount) -> None:
    """What was read already is not asked for again."""
    raw.next("/api/v3/allOrders", answer([order_record()]))
    raw.next("/api/v3/myTrades", answer([trade_record()]))
    await account.orders_since("BTCUSDT", 27)
    trades = await account.trades_since("BTCUSDT", 55)
    assert raw.seen("/api/v3/allOrders")[0].query["orderId"] == "28"
    assert raw.seen("/api/v3/myTrades")[0].query["fromId"] == "56"
    assert trades[0].fill.commission_quote == Decimal("0.03")


async def test_an_order_with_many_fills_is_read_page_by_page(raw: RawVenue, account: BinanceAccount) -> None:
    """More executions than an answer holds are asked for from the first on, until there are no more."""
    records = [trade_record(id=number) for number in range(1, PAGE + 6)]
    raw.next("/api/v3/myTrades", answer(records[5:]), answer(records[:PAGE]), answer(records[PAGE:]))
    fills = await account.fills("BTCUSDT", 28)
    assert [fill.venue_trade_id for fill in fills] == list(range(1, PAGE + 6))
    asked = [request.query for request in raw.seen("/api/v3/myTrades")]
    assert [query.get("fromId") for query in asked] == [None, "0", str(PAGE + 1)]
    assert {query["orderId"] for query in asked} == {"28"}


async def test_stale_stamp_of_a_read_mends_the_clock(raw: RawVenue, account: BinanceAccount) -> None:
    """A read refused for its time stamp has the clock measured, so that the next one passes."""
    raw.next("/api/v3/openOrders", answer({"code": -1021, "msg": "Timestamp."}, status=400), answer([]))
    with pytest.raises(VenueRefused):
        await account.open_orders("BTCUSDT")
    assert len(raw.seen("/api/v3/time")) == 2
    assert await account.open_orders("BTCUSDT") == []


async def test_limits_are_learned(raw: RawVenue, exchange: BinanceExchange) -> None:
    """The venue's published limits replace our guesses."""
    raw.next("/api/v3/exchangeInfo", answer(exchange_info()))
    market = exchange.market(Venue.PAPER)
    assert set(await market.instruments()) == {"BTCUSDT"}
    assert market.order_limits[10] == 100
    assert market.budget._limit == 1200


def kline_row(opened_ms: int) -> list[Any]:
    """Return one row of a flat bar."""
    return [opened_ms, "1", "1", "1", "1", "5", opened_ms + 59_999, "5", 1, "1", "1", "0"]


async def test_unfinished_bar_is_left_out(raw: RawVenue, exchange: BinanceExchange) -> None:
    """A market with a time of its own never gives its last row away, which may still change."""
    raw.next("/api/v3/klines", answer([kline_row(minute * 60_000) for minute in range(5)]))
    candles = await exchange.market(Venue.PAPER).candles("BTCUSDT", "1m", limit=3)
    assert [translate_minute(candle.opened_at) for candle in candles] == [1, 2, 3]
    assert raw.seen("/api/v3/klines")[0].query["limit"] == "4"


async def test_bar_that_has_just_closed_is_kept(raw: RawVenue) -> None:
    """On the wall clock a last row whose time is over is a closed bar."""

    async def open_secret(_key: ApiKeyId) -> Credentials:
        return CREDENTIALS

    urls = VenueUrls(rest=f"{raw.origin}/api", stream="ws://127.0.0.1:9", follows_wall_clock=True)
    exchange = BinanceExchange({Venue.LIVE: urls}, open_secret, SystemClock())
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    closed, unfinished = kline_row(now_ms - 60_001), kline_row(now_ms - 1000)
    raw.next("/api/v3/klines", answer([closed]), answer([closed, unfinished]))
    market = exchange.market(Venue.LIVE)
    assert len(await market.candles("BTCUSDT", "1m")) == 1
    assert len(await market.candles("BTCUSDT", "1m")) == 1
    await exchange.close()


def translate_minute(moment: datetime) -> int:
    """Return the minute since 1970."""
    return int(moment.timestamp()) // 60


async def test_one_client_for_each_key(
    raw: RawVenue, exchange: BinanceExchange, account: BinanceAccount
) -> None:
    """All who have a key open share its client, and nobody closes it under the others."""
    raw.always("/api/v3/openOrders", answer([]))
    other = await exchange.account(Venue.PAPER, KEY)
    assert other._wire is account._wire
    await other.close()
    await other.close()
    assert await account.open_orders("BTCUSDT") == []
    await account.close()
    assert (await exchange.account(Venue.PAPER, KEY))._wire is not account._wire


async def test_closed_account(raw: RawVenue, account: BinanceAccount) -> None:
    """An account that was closed sends nothing any more, and says so."""
    await account.close()
    assert isinstance(await account.place(an_order()), NeverSent)
    with pytest.raises(Unavailable):
        await account.balances()
    assert raw.seen("/api/v3/order") == []


async def test_unknown_venue_is_missing(exchange: BinanceExchange) -> None:
    """A venue that is not configured is not there."""
    with pytest.raises(Missing):
        exchange.market(Venue.LIVE)


@pytest.mark.parametrize(
    "credentials",
    [
        Credentials(api_key="", secret_key="x"),
        Credentials(api_key="x\ny", secret_key="x"),
        Credentials(api_key="x", secret_key=" "),
        Credentials(api_key="x", secret_key="-----BEGIN PRIVATE KEY-----\nbm8=\n-----END PRIVATE KEY-----"),
    ],
    ids=["empty key", "two lines", "blank secret", "broken pem"],
)
async def test_useless_keys_fail_when_opened(
    raw: RawVenue, open_exchange: Callable[..., BinanceExchange], credentials: Credentials
) -> None:
    """A key that nobody can sign with is told when it is opened, without its text."""
    with pytest.raises(ClientFailed) as failure:
        await open_exchange(raw.origin, credentials=credentials).account(Venue.PAPER, KEY)
    assert "bm8" not in str(failure.value)


async def test_unreadable_secret_gets_out(raw: RawVenue) -> None:
    """What the vault says about a key is passed on."""

    async def open_secret(_key: ApiKeyId) -> Credentials:
        raise UnreadableSecret

    urls = VenueUrls(rest=f"{raw.origin}/api", stream="ws://127.0.0.1:9")
    exchange = BinanceExchange({Venue.PAPER: urls}, open_secret, SystemClock())
    with pytest.raises(UnreadableSecret):
        await exchange.account(Venue.PAPER, KEY)
    await exchange.close()


async def test_venue_away_when_opening(raw: RawVenue, open_exchange: Callable[..., BinanceExchange]) -> None:
    """Without the venue's clock no account opens."""
    raw.always("/api/v3/time", answer("", status=503))
    with pytest.raises(Unavailable):
        await open_exchange(raw.origin).account(Venue.PAPER, KEY)
