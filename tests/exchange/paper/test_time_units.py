"""Times in microseconds, as python-binance's own client asks for them."""

from typing import Any

import pytest

from botwarden.exchange.paper.time_units import answer_in_micros, event_in_micros
from tests.exchange.paper.house import KEY, SECRET, House, PythonBinance

pytestmark = pytest.mark.anyio

#: 2017-01-01 in microseconds: later times in milliseconds are smaller for thousands of years.
MICROS = 1_483_228_800_000_000


def in_micros(house: House) -> PythonBinance:
    """Return a client that asks for microseconds."""
    kind: Any = type("Pointed", (PythonBinance,), {"API_URL": f"{house.origin}/api"})
    client: PythonBinance = kind(KEY, SECRET, time_unit="MICROSECOND")
    return client


async def test_answers_come_in_microseconds(house: House) -> None:
    """Server time, orders and executions carry microseconds for who asks; ids and amounts stay."""
    client = in_micros(house)
    try:
        now = await client.get_server_time()
        order = await client.order_market_buy(symbol="BTCUSDT", quantity="0.001")
        trades = await client.get_my_trades(symbol="BTCUSDT", orderId=order["orderId"])
    finally:
        await client.session.close()
    plain = await house.client.get_order(symbol="BTCUSDT", orderId=order["orderId"])
    assert now["serverTime"] > MICROS
    assert order["transactTime"] // 1000 == plain["updateTime"] < MICROS
    assert trades[0]["time"] // 1000 == plain["updateTime"]
    assert trades[0]["id"] == order["fills"][0]["tradeId"]


async def test_candles_end_with_their_last_microsecond(house: House) -> None:
    """A candle's times are its first and its last microsecond; everything else of it is the same."""
    opened = house.venue.market.minute_ms - 60_000
    wish = {"symbol": "BTCUSDT", "interval": "1m", "startTime": opened, "limit": 1}
    client = in_micros(house)
    try:
        (fine,) = await client.get_klines(**wish)
    finally:
        await client.session.close()
    (plain,) = await house.client.get_klines(**wish)
    assert (fine[0], fine[6]) == (opened * 1000, opened * 1000 + 59_999_999)
    assert fine[1:6] + fine[7:] == plain[1:6] + plain[7:]


async def test_an_unknown_unit_is_refused(house: House) -> None:
    """A unit that the venue does not have is an error, not a guess."""
    async with house.wire.http.get(
        f"{house.origin}/api/v3/time", headers={"X-MBX-TIME-UNIT": "SECOND"}
    ) as answer:
        assert answer.status == 400
        assert (await answer.json())["code"] == -1194


def test_only_times_are_turned() -> None:
    """A name that is a time in one message and an id in another is turned only where it is a time."""
    trade = event_in_micros({"e": "trade", "E": 5, "t": 7, "T": 5})
    candle = event_in_micros({"e": "kline", "E": 5, "k": {"t": 60_000, "T": 119_999, "i": "1m"}})
    position = event_in_micros({"e": "outboundAccountPosition", "E": 5, "u": 4, "B": []})
    book = event_in_micros({"u": 9, "s": "BTCUSDT"})
    assert trade == {"e": "trade", "E": 5000, "t": 7, "T": 5000}
    assert candle["k"] == {"t": 60_000_000, "T": 119_999_999, "i": "1m"}
    assert position["u"] == 4000
    assert book["u"] == 9
    assert answer_in_micros({"workingTime": -1, "orderId": 3, "time": 2}) == {
        "workingTime": -1,
        "orderId": 3,
        "time": 2000,
    }
