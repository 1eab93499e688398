"""Holds our books against the exchange account's own records; every difference is named.

Pure: the callers read both sides. What others did on the account is foreign and no difference, but an
order that carries our installation tag must be in our books.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal

import msgspec

from botwarden.trading.bot import ZERO, BotId
from botwarden.trading.money import total
from botwarden.trading.orders import Fill, OrderStatus, OrderType, Side, stop_loss_id, take_profit_id

#: Outcomes after which the venue must not know of any execution.
NOTHING_HAPPENED = frozenset({OrderStatus.REJECTED, OrderStatus.NEVER_SENT, OrderStatus.ABSENT})

#: What becomes of these is not in our books yet.
IN_FLIGHT = frozenset({OrderStatus.OPEN, OrderStatus.RESTING})


class BookedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as our database has it."""

    bot_id: BotId
    number: int
    symbol: str
    side: Side
    type: OrderType = OrderType.MARKET
    client_order_id: str
    status: OrderStatus
    #: Of a list and its cancel the list's id.
    venue_order_id: int | None
    executed_base: Decimal
    executed_quote: Decimal
    fills: tuple[Fill, ...]


class VenueOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the account has it."""

    venue_order_id: int
    client_order_id: str
    symbol: str
    side: str
    executed_base: Decimal
    executed_quote: Decimal
    fills: tuple[Fill, ...]


class BotBooks(msgspec.Struct, frozen=True, kw_only=True):
    """What a bot's row says of its day and its position."""

    bot_id: BotId
    trading_day: date
    in_position: bool
    held_base: Decimal
    daily_pnl: Decimal
    daily_trades_count: int
    #: Sums over the trades and adjustments of `trading_day`.
    booked_pnl: Decimal
    booked_count: Decimal
    #: What the last entry bought net of fees in the coin, less what was sold since, plus adjustments since.
    booked_base: Decimal


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The result for one account and symbol, or for the bots' own books."""

    compared: int
    differences: tuple[str, ...]
    #: Orders of others on the account.
    foreign: tuple[str, ...] = ()
    in_flight: tuple[str, ...] = ()


def compare_orders(
    ours: Sequence[BookedOrder],
    theirs: Sequence[VenueOrder],
    *,
    tag: str,
    elsewhere: Iterable[BookedOrder] = (),
) -> Comparison:
    """Compare the orders of one account and symbol, fill by fill.

    `elsewhere` are orders that we have booked under other keys: an account may have several, and shows the
    orders of all of them to each.
    """
    known = {venue_id for order in (*ours, *elsewhere) for venue_id in _venue_ids(order)}
    by_client_id: dict[str, list[VenueOrder]] = {}
    for venue_order in theirs:
        by_client_id.setdefault(venue_order.client_order_id, []).append(venue_order)
    differences: list[str] = []
    for order in ours:
        found = [venue for venue_id in _venue_ids(order) for venue in by_client_id.get(venue_id, [])]
        differences.extend(_compare(order, found))
    unknown = [order for order in theirs if order.client_order_id not in known]
    mine = [order for order in unknown if order.client_order_id.startswith(f"bw-{tag}-")]
    differences.extend(f"{_name(order)} carries our tag and is not in our books" for order in mine)
    return Comparison(
        compared=len(ours),
        differences=tuple(differences),
        foreign=tuple(_name(order) for order in unknown if order not in mine),
        in_flight=tuple(order.client_order_id for order in ours if order.status in IN_FLIGHT),
    )


def _venue_ids(order: BookedOrder) -> Sequence[str]:
    """Return the client order ids under which the account knows the order: of a list each leg's."""
    match order.type:
        case OrderType.MARKET:
            return [order.client_order_id]
        case OrderType.OCO:
            return [take_profit_id(order.client_order_id), stop_loss_id(order.client_order_id)]
        case OrderType.CANCEL:
            return []


def _name(order: VenueOrder) -> str:
    what = f"{order.side} {order.executed_base} {order.symbol}"
    return f"{what}, order {order.venue_order_id} ({order.client_order_id})"


def compare_books(bots: Iterable[BotBooks]) -> Comparison:
    """Compare each bot's counters and position with what its trades and adjustments say."""
    differences: list[str] = []
    compared = 0
    for bot in bots:
        compared += 1
        name = f"bot {bot.bot_id}"
        if bot.daily_pnl != bot.booked_pnl:
            differences.append(f"{name}: daily_pnl is {bot.daily_pnl}, its trades say {bot.booked_pnl}")
        if bot.daily_trades_count != bot.booked_count:
            count = f"daily_trades_count is {bot.daily_trades_count}"
            differences.append(f"{name}: {count}, its trades say {bot.booked_count}")
        if bot.in_position and bot.held_base != bot.booked_base:
            differences.append(f"{name}: holds {bot.held_base}, its fills say {bot.booked_base}")
    return Comparison(compared=compared, differences=tuple(differences))


def _compare(order: BookedOrder, venue_orders: Sequence[VenueOrder]) -> list[str]:
    name = f"{order.symbol} {order.client_order_id}"
    if order.status in IN_FLIGHT or order.type is OrderType.CANCEL:
        return []
    if len(venue_orders) > len(_venue_ids(order)):
        return [f"{name}: the account has {len(venue_orders)} orders with this id"]
    if order.status in NOTHING_HAPPENED:
        executed = sum((venue.executed_base for venue in venue_orders), ZERO)
        return [f"{name}: booked as {order.status}, but {executed} was executed"] if executed else []
    if not venue_orders:
        return [f"{name}: booked as {order.status}, but the account does not know it"]
    return [f"{name}: {text}" for text in _compare_executed(order, _together(order, venue_orders))]


def _together(order: BookedOrder, venue_orders: Sequence[VenueOrder]) -> VenueOrder:
    """Return what the account has of the order, the legs of a list added up."""
    first = venue_orders[0]
    if order.type is not OrderType.OCO:
        return first
    return VenueOrder(
        # The legs have ids of their own; the list's is not among the account's orders.
        venue_order_id=order.venue_order_id or first.venue_order_id,
        client_order_id=order.client_order_id,
        symbol=first.symbol,
        side=first.side,
        executed_base=total(leg.executed_base for leg in venue_orders),
        executed_quote=total(leg.executed_quote for leg in venue_orders),
        fills=tuple(fill for leg in venue_orders for fill in leg.fills),
    )


def _compare_executed(order: BookedOrder, venue: VenueOrder) -> list[str]:
    facts: Mapping[str, tuple[object, object]] = {
        "side": (order.side.value, venue.side),
        "venue order id": (order.venue_order_id, venue.venue_order_id),
        "executed base": (order.executed_base, venue.executed_base),
        "executed quote": (order.executed_quote, venue.executed_quote),
    }
    texts = [f"{fact} is {we}, the account says {they}" for fact, (we, they) in facts.items() if we != they]
    our_fills = {fill.venue_trade_id: _facts(fill) for fill in order.fills}
    their_fills = {fill.venue_trade_id: _facts(fill) for fill in venue.fills}
    texts.extend(
        f"fill {trade_id} is {our_fills.get(trade_id)}, the account says {their_fills.get(trade_id)}"
        for trade_id in sorted(our_fills.keys() | their_fills.keys())
        if our_fills.get(trade_id) != their_fills.get(trade_id)
    )
    return texts


def _facts(fill: Fill) -> tuple[Decimal, Decimal, Decimal, str]:
    return fill.price_quote, fill.quantity_base, fill.commission, fill.commission_asset
