"""What the venue sends, as types; fields that we do not read are left out.

The only place that decodes JSON of a venue. Amounts are checked where they are translated.
"""

from decimal import Decimal
from typing import TypeVar

import msgspec

from botwarden.trading.bot import ZERO

T = TypeVar("T")


class Malformed(ValueError):  # noqa: N818 - reads as an answer, like the families in botwarden.errors
    """Not what the venue's documentation promises."""


def decode(body: bytes | str | msgspec.Raw, shape: type[T]) -> T:
    """Return the JSON as this type.

    Raises:
        Malformed: it is not.
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as broken:
        raise Malformed(str(broken)[:200]) from None


class VenueError(msgspec.Struct):
    """An error answer."""

    code: int
    msg: str = ""


class ServerTime(msgspec.Struct, rename="camel"):
    """GET time."""

    server_time: int


class Price(msgspec.Struct):
    """GET ticker/price of one symbol."""

    symbol: str
    price: Decimal


class AnswerFill(msgspec.Struct, rename="camel"):
    """One fill of a FULL answer."""

    price: Decimal
    qty: Decimal
    commission: Decimal
    commission_asset: str
    trade_id: int


class OrderAnswer(msgspec.Struct, rename="camel"):
    """POST order, FULL."""

    symbol: str
    order_id: int
    client_order_id: str
    transact_time: int
    executed_qty: Decimal
    status: str
    fills: list[AnswerFill]


class ListAnswer(msgspec.Struct, rename="camel"):
    """POST orderList/oco, and GET orderList."""

    order_list_id: int
    list_client_order_id: str
    list_order_status: str
    symbol: str
    transaction_time: int


class CancelAnswer(msgspec.Struct, rename="camel"):
    """DELETE order."""

    symbol: str
    orig_client_order_id: str
    order_list_id: int
    status: str
    executed_qty: Decimal


class OrderRecord(msgspec.Struct, rename="camel"):
    """GET order, and an element of openOrders and allOrders."""

    symbol: str
    order_id: int
    client_order_id: str
    side: str
    status: str
    orig_qty: Decimal
    executed_qty: Decimal
    cummulative_quote_qty: Decimal
    time: int
    orig_quote_order_qty: Decimal = ZERO


class TradeRecord(msgspec.Struct, rename="camel"):
    """An element of GET myTrades."""

    symbol: str
    id: int
    order_id: int
    price: Decimal
    qty: Decimal
    quote_qty: Decimal
    commission: Decimal
    commission_asset: str
    time: int
    is_buyer: bool


class Balance(msgspec.Struct):
    """One asset of GET account."""

    asset: str
    free: Decimal
    locked: Decimal


class AccountRecord(msgspec.Struct):
    """GET account."""

    balances: list[Balance]


class Filter(msgspec.Struct, rename="camel"):
    """A trading rule of a symbol; only the fields of the rules that we obey."""

    filter_type: str
    min_qty: Decimal = ZERO
    max_qty: Decimal = ZERO
    step_size: Decimal = ZERO
    tick_size: Decimal = ZERO
    min_notional: Decimal = ZERO
    apply_to_market: bool = False
    apply_min_to_market: bool = False


class Symbol(msgspec.Struct, rename="camel"):
    """A symbol of GET exchangeInfo."""

    symbol: str
    status: str
    base_asset: str
    quote_asset: str
    base_asset_precision: int
    quote_asset_precision: int
    filters: list[Filter]
    is_spot_trading_allowed: bool = True


class RateLimit(msgspec.Struct, rename="camel"):
    """A published limit."""

    rate_limit_type: str
    interval: str
    interval_num: int
    limit: int


class ExchangeInfo(msgspec.Struct, rename="camel"):
    """GET exchangeInfo. Symbols are decoded one by one, so that a strange one harms no other."""

    symbols: list[msgspec.Raw]
    rate_limits: list[RateLimit] = []


Kline = tuple[
    int, Decimal, Decimal, Decimal, Decimal, Decimal, int, msgspec.Raw, msgspec.Raw, msgspec.Raw, msgspec.Raw,
    msgspec.Raw,
]  # fmt: skip


class StreamEnvelope(msgspec.Struct):
    """A message of a combined stream: an event, or the answer to a request of ours."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")
    id: int | None = None
    #: Set when a request of ours was refused.
    error: VenueError | None = None
    code: int | None = None
    msg: str = ""


class StreamTrade(msgspec.Struct):
    """One trade: `<symbol>@trade`."""

    s: str
    p: Decimal
    #: When it happened, in ms.
    T: int


class StreamBar(msgspec.Struct):
    """The bar of a kline event."""

    t: int
    #: Close time, in ms.
    T: int
    s: str
    i: str
    o: Decimal
    c: Decimal
    h: Decimal
    l: Decimal  # noqa: E741 - the venue's name
    v: Decimal
    #: Whether the bar is closed.
    x: bool


class StreamKline(msgspec.Struct):
    """A kline event: `<symbol>@kline_<interval>`."""

    k: StreamBar
