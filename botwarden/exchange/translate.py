"""Binance's JSON and our types, in both directions.

Pure. Whatever bytes come in, a function here returns a value that keeps our rules (finite amounts, none
negative, times that exist) or raises `Malformed`; nothing else gets out.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from botwarden.exchange import payloads
from botwarden.exchange.payloads import Malformed, decode
from botwarden.exchange.port import AccountTrade, Balance, Found
from botwarden.trading.bot import ZERO
from botwarden.trading.candles import Candle, PriceTick
from botwarden.trading.instruments import Instrument
from botwarden.trading.orders import Executed, Fill, Order, OrderStatus, Side

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: Statuses after which the venue changes nothing more. Source: Binance spot API, enums, order status.
FINAL_STATUSES = frozenset({"FILLED", "CANCELED", "REJECTED", "EXPIRED", "EXPIRED_IN_MATCH"})

#: No amount of any asset has more digits before or behind the point.
_MOST_DIGITS = 30


# Orders -----------------------------------------------------------------------------------------------


def order_parameters(order: Order) -> dict[str, str]:
    """Return the parameters of POST order, without time and signature; amounts as plain decimals."""
    parameters = {
        "symbol": order.symbol,
        "side": order.side.value,
        "type": "MARKET",
        "newClientOrderId": order.client_order_id,
        "newOrderRespType": "FULL",
    }
    if order.quantity_base is not None:
        parameters["quantity"] = plain(order.quantity_base)
    if order.quantity_quote is not None:
        parameters["quoteOrderQty"] = plain(order.quantity_quote)
    return parameters


def executed(order: Order, body: bytes) -> Executed:
    """Return what the FULL answer to POST order says; commissions are not valued yet (zero in quote).

    Raises:
        Malformed: also when the answer is about another order, is not final, or its fills do not add up.
    """
    answer = decode(body, payloads.OrderAnswer)
    if answer.client_order_id != order.client_order_id or answer.symbol != order.symbol:
        raise Malformed("the answer is about another order")
    if answer.status not in FINAL_STATUSES:
        raise Malformed(f"the order is not final: {answer.status[:40]}")
    fills = tuple(sorted((_answer_fill(fill, answer) for fill in answer.fills), key=_trade_id))
    if sum((fill.quantity_base for fill in fills), ZERO) != _amount(answer.executed_qty):
        raise Malformed("the fills do not add up to the executed quantity")
    is_filled = answer.status == "FILLED"
    if is_filled and not fills:
        raise Malformed("filled without fills")
    status = OrderStatus.FILLED if is_filled else OrderStatus.EXPIRED
    return Executed(venue_order_id=answer.order_id, status=status, fills=fills)


def order_record(body: bytes) -> Found:
    """Return the venue's record of an order."""
    return _found(decode(body, payloads.OrderRecord))


def order_records(body: bytes) -> list[Found]:
    """Return the venue's records of orders, oldest first."""
    return sorted((_found(record) for record in decode(body, list[payloads.OrderRecord])), key=_order_id)


def account_trades(body: bytes) -> list[AccountTrade]:
    """Return executions, oldest first; commissions are not valued yet (zero in quote)."""
    trades = [
        AccountTrade(
            venue_order_id=record.order_id,
            symbol=record.symbol,
            side=Side.BUY if record.is_buyer else Side.SELL,
            fill=Fill(
                venue_trade_id=record.id,
                price_quote=_amount(record.price),
                quantity_base=_amount(record.qty),
                quantity_quote=_amount(record.quote_qty),
                commission=_amount(record.commission),
                commission_asset=record.commission_asset,
                commission_quote=ZERO,
                executed_at=from_ms(record.time),
            ),
        )
        for record in decode(body, list[payloads.TradeRecord])
    ]
    return sorted(trades, key=lambda trade: trade.fill.venue_trade_id)


def balances(body: bytes) -> list[Balance]:
    """Return every asset with something free or locked."""
    return [
        Balance(asset=balance.asset, free=_amount(balance.free), locked=_amount(balance.locked))
        for balance in decode(body, payloads.AccountRecord).balances
        if balance.free or balance.locked
    ]


def venue_error(body: bytes) -> tuple[int, str] | None:
    """Return code and message of an error answer; None if it is not the venue's JSON."""
    try:
        error = decode(body, payloads.VenueError)
    except Malformed:
        return None
    return error.code, error.msg


# The market -------------------------------------------------------------------------------------------


def server_time(body: bytes) -> datetime:
    """Return the venue's time."""
    return from_ms(decode(body, payloads.ServerTime).server_time)


def price(body: bytes) -> Decimal:
    """Return the last traded price."""
    return _positive(decode(body, payloads.Price).price)


def candles(symbol: str, interval: str, body: bytes) -> list[Candle]:
    """Return every row of a kline answer, oldest first; the last may be unfinished."""
    rows: list[payloads.Kline] = decode(body, list[payloads.Kline])
    return [
        candle(symbol, interval, opened_ms=row[0], closed_ms=row[6], prices=row[1:5], volume=row[5])
        for row in rows
    ]


def candle(
    symbol: str, interval: str, *, opened_ms: int, closed_ms: int, prices: Sequence[Decimal], volume: Decimal
) -> Candle:
    """Return one bar. `prices`: open, high, low, close."""
    opened, high, low, closed = (_positive(price) for price in prices)
    return Candle(
        symbol=symbol,
        interval=interval,
        opened_at=from_ms(opened_ms),
        closed_at=from_ms(closed_ms),
        open=opened,
        high=high,
        low=low,
        close=closed,
        volume_base=_amount(volume),
    )


def tick(symbol: str, traded_price: Decimal, traded_ms: int) -> PriceTick:
    """Return one traded price."""
    return PriceTick(symbol=symbol, price_quote=_positive(traded_price), traded_at=from_ms(traded_ms))


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The rate limits that the venue publishes."""

    weight_per_minute: int | None
    #: Window in seconds → orders per account.
    orders: dict[int, int]


def instruments(body: bytes) -> tuple[dict[str, Instrument], Limits]:
    """Return what can be traded on spot, by symbol, and the rate limits; unreadable symbols are left out."""
    info = decode(body, payloads.ExchangeInfo)
    found: dict[str, Instrument] = {}
    for raw in info.symbols:
        try:
            symbol = decode(raw, payloads.Symbol)
            if symbol.is_spot_trading_allowed:
                found[symbol.symbol] = _instrument(symbol)
        except Malformed:
            continue
    return found, _limits(info.rate_limits)


def _instrument(symbol: payloads.Symbol) -> Instrument:
    lots = [rule for rule in symbol.filters if rule.filter_type in ("LOT_SIZE", "MARKET_LOT_SIZE")]
    bounds = [_amount(rule.max_qty) for rule in lots if rule.max_qty]
    ticks = [_amount(rule.tick_size) for rule in symbol.filters if rule.filter_type == "PRICE_FILTER"]
    notionals = [
        _amount(rule.min_notional)
        for rule in symbol.filters
        if (rule.filter_type == "NOTIONAL" and rule.apply_min_to_market)
        or (rule.filter_type == "MIN_NOTIONAL" and rule.apply_to_market)
    ]
    return Instrument(
        symbol=symbol.symbol,
        base_asset=symbol.base_asset,
        quote_asset=symbol.quote_asset,
        status=symbol.status,
        tick_size=max(ticks, default=ZERO),
        step_size=max((_amount(rule.step_size) for rule in lots), default=ZERO),
        min_quantity=max((_amount(rule.min_qty) for rule in lots), default=ZERO),
        max_quantity=min(bounds, default=ZERO),
        min_notional=max(notionals, default=ZERO),
        quote_precision=symbol.quote_asset_precision,
        base_precision=symbol.base_asset_precision,
    )


def _limits(rate_limits: Sequence[payloads.RateLimit]) -> Limits:
    seconds = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86_400}
    windows = [
        (limit.rate_limit_type, seconds.get(limit.interval, 0) * limit.interval_num, limit.limit)
        for limit in rate_limits
        if limit.limit > 0
    ]
    return Limits(
        weight_per_minute=next(
            (size for kind, window, size in windows if (kind, window) == ("REQUEST_WEIGHT", 60)), None
        ),
        orders={window: size for kind, window, size in windows if kind == "ORDERS" and window > 0},
    )


# Amounts and times ------------------------------------------------------------------------------------


def plain(amount: Decimal) -> str:
    """Return the amount without an exponent, as the venue reads it."""
    return format(amount, "f")


def to_ms(moment: datetime) -> int:
    """Return milliseconds since 1970."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def from_ms(milliseconds: int) -> datetime:
    """Return the moment (aware, UTC)."""
    try:
        return EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        raise Malformed("a time that does not exist") from None


def _amount(amount: Decimal) -> Decimal:
    if not amount.is_finite() or amount < 0:
        raise Malformed("not an amount")
    if amount and not -_MOST_DIGITS <= amount.adjusted() <= _MOST_DIGITS:
        raise Malformed("an amount out of all bounds")
    return amount


def _positive(amount: Decimal) -> Decimal:
    if not _amount(amount):
        raise Malformed("a price of zero")
    return amount


def _answer_fill(fill: payloads.AnswerFill, answer: payloads.OrderAnswer) -> Fill:
    price_quote, quantity_base = _positive(fill.price), _positive(fill.qty)
    return Fill(
        venue_trade_id=fill.trade_id,
        price_quote=price_quote,
        quantity_base=quantity_base,
        quantity_quote=price_quote * quantity_base,
        commission=_amount(fill.commission),
        commission_asset=fill.commission_asset,
        commission_quote=ZERO,
        executed_at=from_ms(answer.transact_time),
    )


def _found(record: payloads.OrderRecord) -> Found:
    # A negative sum means that the venue no longer knows it. Source: Binance spot API, query order.
    executed_quote = (
        max(record.cummulative_quote_qty, ZERO) if record.cummulative_quote_qty.is_finite() else None
    )
    if executed_quote is None:
        raise Malformed("not an amount")
    return Found(
        venue_order_id=record.order_id,
        client_order_id=record.client_order_id,
        symbol=record.symbol,
        side=record.side,
        status=record.status,
        quantity_base=_amount(record.orig_qty),
        quantity_quote=_amount(record.orig_quote_order_qty),
        executed_base=_amount(record.executed_qty),
        executed_quote=_amount(executed_quote),
        created_at=from_ms(record.time),
    )


def _trade_id(fill: Fill) -> int:
    return fill.venue_trade_id


def _order_id(found: Found) -> int:
    return found.venue_order_id


# Streams ----------------------------------------------------------------------------------------------


class StreamReply(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a request of ours."""

    request_id: int | None
    #: None: done.
    refusal: str | None


class StreamEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What one stream said; nothing when it was a sign of life only, such as an unfinished bar."""

    stream: str
    said: Candle | PriceTick | None


class StreamClosing(msgspec.Struct, frozen=True, kw_only=True):
    """The server is about to go. Source: Binance spot API, WebSocket streams, serverShutdown."""


def trade_stream(symbol: str) -> str:
    """Return the name of the symbol's trade stream."""
    return f"{symbol.lower()}@trade"


def kline_stream(symbol: str, interval: str) -> str:
    """Return the name of the symbol's bars of this interval."""
    return f"{symbol.lower()}@kline_{interval}"


def stream_message(text: str) -> StreamReply | StreamEvent | StreamClosing:
    """Return what a message of a combined stream says."""
    envelope = decode(text, payloads.StreamEnvelope)
    if envelope.stream == "!serverShutdown":
        return StreamClosing()
    if envelope.stream:
        return StreamEvent(stream=envelope.stream, said=_said(envelope.stream, envelope.data))
    if envelope.error is not None:
        return StreamReply(request_id=envelope.id, refusal=envelope.error.msg)
    if envelope.code is not None:
        return StreamReply(request_id=envelope.id, refusal=envelope.msg)
    return StreamReply(request_id=envelope.id, refusal=None)


def _said(stream: str, data: msgspec.Raw) -> Candle | PriceTick | None:
    kind = stream.partition("@")[2]
    if kind == "trade":
        trade = decode(data, payloads.StreamTrade)
        return tick(trade.s, trade.p, trade.T)
    if kind.startswith("kline_"):
        bar = decode(data, payloads.StreamKline).k
        prices = (bar.o, bar.h, bar.l, bar.c)
        made = candle(bar.s, bar.i, opened_ms=bar.t, closed_ms=bar.T, prices=prices, volume=bar.v)
        return made if bar.x else None
    return None
