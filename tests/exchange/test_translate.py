"""Whatever bytes come in, translation yields a sound value or `Malformed`."""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botwarden.exchange import translate
from botwarden.exchange.payloads import Malformed
from botwarden.trading.bot import ZERO
from botwarden.trading.candles import Candle, PriceTick
from botwarden.trading.orders import OrderStatus, Side
from tests.exchange.samples import (
    an_order,
    exchange_info,
    fill,
    full_answer,
    order_record,
    symbol_info,
    trade_record,
)
from tests.exchange.stream_venue import kline, trade

KLINE = [1_767_614_400_000, "1", "4", "0.5", "2", "7", 1_767_614_459_999, "9", 3, "1", "2", "0"]

TRANSLATIONS: dict[str, tuple[Any, Callable[[bytes], Any]]] = {
    "executed": (full_answer(), lambda body: translate.executed(an_order(), body)),
    "order_record": (order_record(), translate.order_record),
    "order_records": ([order_record()], translate.order_records),
    "account_trades": ([trade_record()], translate.account_trades),
    "balances": ({"balances": [{"asset": "BTC", "free": "1", "locked": "0"}]}, translate.balances),
    "server_time": ({"serverTime": 1_767_614_400_000}, translate.server_time),
    "price": ({"symbol": "BTCUSDT", "price": "1.5"}, translate.price),
    "candles": ([KLINE], lambda body: translate.candles("BTCUSDT", "1m", body)),
    "instruments": (exchange_info(), translate.instruments),
    "trade": ({"stream": "btcusdt@trade", "data": trade("BTCUSDT", "1")}, translate.stream_message),
    "kline": (
        {"stream": "btcusdt@kline_1m", "data": kline("BTCUSDT", "1m", "1", opened_ms=0, closed=True)},
        translate.stream_message,
    ),
    "reply": ({"result": None, "id": 3}, translate.stream_message),
}

STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(["", "NaN", "-1", "Infinity", "1e999999", "1_0", "0", "x" * 300, "\ud800"]),
    st.text(max_size=20),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of everything inside."""
    found = [path]
    if isinstance(document, dict):
        found += [deeper for key, value in document.items() for deeper in places(value, (*path, key))]
    if isinstance(document, list):
        found += [deeper for index, value in enumerate(document) for deeper in places(value, (*path, index))]
    return found


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return the document with something else in one place."""
    if not path:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[path[0]] = replaced(document[path[0]], path[1:], value)
    return copy


def amounts_in(value: Any) -> list[Decimal]:
    """Return every amount inside a translated value."""
    if isinstance(value, Decimal):
        return [value]
    if isinstance(value, dict):
        return [amount for inner in value.values() for amount in amounts_in(inner)]
    if isinstance(value, list | tuple):
        return [amount for inner in value for amount in amounts_in(inner)]
    fields = getattr(value, "__struct_fields__", ())
    return [amount for field in fields for amount in amounts_in(getattr(value, field))]


@pytest.mark.parametrize("name", TRANSLATIONS)
@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_broken_json_never_gets_through(name: str, data: st.DataObject) -> None:
    """Any one thing replaced by anything gives a sound value or `Malformed`, never another failure."""
    sample, translation = TRANSLATIONS[name]
    path = data.draw(st.sampled_from(places(sample)))
    document = json.dumps(replaced(sample, path, data.draw(STRANGE))).encode()
    cut = data.draw(st.one_of(st.just(len(document)), st.integers(0, len(document))))
    try:
        value = translation(document[:cut])
    except Malformed:
        return
    assert all(amount.is_finite() and amount >= 0 for amount in amounts_in(value))


@pytest.mark.parametrize("name", TRANSLATIONS)
@settings(max_examples=50, deadline=None)
@given(body=st.binary(max_size=60))
def test_noise_is_malformed(name: str, body: bytes) -> None:
    """Random bytes are no answer."""
    _, translation = TRANSLATIONS[name]
    with pytest.raises(Malformed):
        translation(b"\x00" + body)


@pytest.mark.parametrize("name", TRANSLATIONS)
def test_deep_nesting_is_malformed(name: str) -> None:
    """JSON nested deeper than anybody reads does not overflow the stack."""
    with pytest.raises(Malformed):
        TRANSLATIONS[name][1](b"[" * 100_000)


def test_amounts_of_an_order_are_plain_decimals() -> None:
    """A size never goes out with an exponent, which the venue would refuse."""
    order = an_order(quantity_base=Decimal("1E-7"))
    assert translate.order_parameters(order)["quantity"] == "0.0000001"
    order = an_order(quantity_base=None, quantity_quote=Decimal("1E+3"))
    parameters = translate.order_parameters(order)
    assert parameters["quoteOrderQty"] == "1000"
    assert "quantity" not in parameters


@given(st.decimals(min_value=0, max_value=10**15, allow_nan=False, allow_infinity=False))
def test_plain_loses_nothing(amount: Decimal) -> None:
    """What is written without an exponent reads back as the same amount."""
    assert Decimal(translate.plain(amount)) == amount
    assert "E" not in translate.plain(amount).upper()


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 1, 1)))  # noqa: DTZ001 - made aware below
def test_milliseconds_survive(moment: datetime) -> None:
    """A moment in whole milliseconds goes out and comes back unchanged."""
    moment = moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1000 * 1000)
    assert translate.from_ms(translate.to_ms(moment)) == moment


def test_filled_answer() -> None:
    """A FULL answer becomes its fills, oldest first, with exact products."""
    shuffled = full_answer(fills=full_answer()["fills"][::-1])
    executed = translate.executed(an_order(), json.dumps(shuffled).encode())
    assert executed.status is OrderStatus.FILLED
    assert executed.venue_order_id == 28
    assert [made.venue_trade_id for made in executed.fills] == [56, 57]
    assert executed.fills[0].quantity_quote == Decimal("30.00")
    assert executed.fills[0].commission_asset == "BTC"
    assert executed.fills[0].executed_at == translate.from_ms(1_767_614_400_123)


@pytest.mark.parametrize("status", ["EXPIRED", "CANCELED", "EXPIRED_IN_MATCH", "REJECTED"])
def test_order_that_ended_early(status: str) -> None:
    """An order that the venue ended keeps the part that was executed."""
    part = full_answer(status=status, executedQty="0.3", fills=[fill("100.0", "0.3", trade_id=56)])
    executed = translate.executed(an_order(), json.dumps(part).encode())
    assert executed.status is OrderStatus.EXPIRED
    assert len(executed.fills) == 1
    none = full_answer(status=status, executedQty="0", fills=[])
    assert translate.executed(an_order(), json.dumps(none).encode()).fills == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "NEW"},
        {"status": "PARTIALLY_FILLED"},
        {"status": "SOMETHING_NEW"},
        {"clientOrderId": "somebody-else"},
        {"symbol": "ETHUSDT"},
        {"executedQty": "0.6"},
        {"fills": []},
        {"executedQty": "0", "fills": []},
        {"fills": [fill("0", "0.5", trade_id=1)]},
    ],
    ids=str,
)
def test_answer_that_settles_nothing(changes: dict[str, Any]) -> None:
    """An answer that is not final, not ours, or does not add up is not believed."""
    with pytest.raises(Malformed):
        translate.executed(an_order(), json.dumps(full_answer(**changes)).encode())


def test_records_are_oldest_first() -> None:
    """Orders come in the order of their venue ids, whatever the answer's order."""
    body = json.dumps([order_record(orderId=9), order_record(orderId=4)]).encode()
    assert [found.venue_order_id for found in translate.order_records(body)] == [4, 9]


def test_forgotten_quote_sum_is_zero() -> None:
    """A negative sum means that the venue no longer knows it, and is no negative amount."""
    body = json.dumps(order_record(cummulativeQuoteQty="-1.0")).encode()
    assert translate.order_record(body).executed_quote == ZERO


def test_trades_of_the_account() -> None:
    """An execution keeps its side and what the venue booked."""
    trade_made = translate.account_trades(json.dumps([trade_record()]).encode())[0]
    assert trade_made.side is Side.SELL
    assert trade_made.fill.quantity_quote == Decimal("30.0")


def test_empty_balances_are_left_out() -> None:
    """Assets with nothing free and nothing locked do not count as held."""
    rows = [
        {"asset": "BTC", "free": "0.0", "locked": "0.1"},
        {"asset": "ETH", "free": "0.00000000", "locked": "0.0"},
    ]
    assert [held.asset for held in translate.balances(json.dumps({"balances": rows}).encode())] == ["BTC"]


def test_instrument_takes_the_stricter_rule() -> None:
    """Of two lot filters the coarser holds, and a filter of zero is off."""
    instruments, limits = translate.instruments(json.dumps(exchange_info()).encode())
    rules = instruments["BTCUSDT"]
    assert (rules.step_size, rules.min_quantity, rules.max_quantity) == (
        Decimal("0.00001"),
        Decimal("0.00001"),
        Decimal("120.5"),
    )
    assert (rules.tick_size, rules.min_notional) == (Decimal("0.01"), Decimal("5.0"))
    assert limits.weight_per_minute == 1200
    assert limits.orders == {10: 100, 86_400: 200_000}


def test_minimum_that_does_not_bind_market_orders() -> None:
    """A notional rule that spares market orders is no minimum of ours; the old filter's name works too."""
    spared = [{"filterType": "NOTIONAL", "minNotional": "5", "applyMinToMarket": False}]
    old = [{"filterType": "MIN_NOTIONAL", "minNotional": "10", "applyToMarket": True}]
    info = exchange_info(symbol_info(filters=spared), symbol_info(symbol="ETHUSDT", filters=old))
    instruments, _ = translate.instruments(json.dumps(info).encode())
    assert instruments["BTCUSDT"].min_notional == ZERO
    assert instruments["ETHUSDT"].min_notional == 10


def test_strange_symbol_harms_no_other() -> None:
    """A symbol that cannot be read, or is not for spot, is left out alone."""
    info = exchange_info(
        symbol_info(),
        {"symbol": "BROKEN"},
        symbol_info(symbol="MARGINONLY", isSpotTradingAllowed=False),
        symbol_info(symbol="币安人生USDT", baseAsset="币安人生"),
    )
    instruments, _ = translate.instruments(json.dumps(info).encode())
    assert set(instruments) == {"BTCUSDT", "币安人生USDT"}


def test_kline_rows() -> None:
    """A row is open time, open, high, low, close, volume, close time."""
    bar = translate.candles("BTCUSDT", "1m", json.dumps([KLINE]).encode())[0]
    assert (bar.open, bar.high, bar.low, bar.close, bar.volume_base) == (1, 4, Decimal("0.5"), 2, 7)
    assert bar.closed_at == translate.from_ms(1_767_614_459_999)


def test_stream_messages() -> None:
    """Trades are prices, closed bars are candles, unfinished bars are signs of life."""

    def heard(stream: str, data: dict[str, Any]) -> Any:
        message = translate.stream_message(json.dumps({"stream": stream, "data": data}))
        assert isinstance(message, translate.StreamEvent)
        return message.said

    assert isinstance(heard("btcusdt@trade", trade("BTCUSDT", "1.5")), PriceTick)
    open_bar = kline("BTCUSDT", "1m", "2", opened_ms=0, closed=False)
    assert heard("btcusdt@kline_1m", open_bar) is None
    closed_bar = kline("BTCUSDT", "1m", "2", opened_ms=0, closed=True)
    assert isinstance(heard("btcusdt@kline_1m", closed_bar), Candle)
    assert heard("btcusdt@miniTicker", {"e": "24hrMiniTicker"}) is None


def test_stream_replies() -> None:
    """Both forms of a refusal are told from a confirmation, and the farewell from both."""
    assert translate.stream_message('{"result":null,"id":7}') == translate.StreamReply(
        request_id=7, refusal=None
    )
    assert translate.stream_message('{"error":{"code":2,"msg":"no"},"id":7}') == translate.StreamReply(
        request_id=7, refusal="no"
    )
    assert translate.stream_message('{"code":1,"msg":"no"}') == translate.StreamReply(
        request_id=None, refusal="no"
    )
    farewell = '{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}'
    assert isinstance(translate.stream_message(farewell), translate.StreamClosing)


def test_times_beyond_the_calendar() -> None:
    """A time that no calendar has is malformed, not a crash."""
    with pytest.raises(Malformed):
        translate.from_ms(10 ** math.floor(30))
