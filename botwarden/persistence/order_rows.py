"""Orders, fills and trades: how an intent is recorded, and how its end is booked.

An order leaves `open` once, by way of `resting` or not: the rows here are written only under the bot's
row lock, after `write_transitions` has found the order not settled yet.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, assert_never

import msgspec
from sqlalchemy import insert, text

from botwarden.persistence.database import Transaction
from botwarden.persistence.order_tables import GIVEN_UP, fills, orders, trades
from botwarden.trading.bot import ZERO, BotConfig
from botwarden.trading.days import trading_day
from botwarden.trading.money import total
from botwarden.trading.orders import (
    Absent,
    Executed,
    Fill,
    ListEnded,
    NeverSent,
    Order,
    OrderIntent,
    OrderStatus,
    OrderType,
    Outcome,
    Rejected,
    Resting,
    Trade,
    Unexplained,
    client_order_id,
)

#: The longest message that is kept of a venue's words.
_LONGEST_MESSAGE = 500


class Booking(msgspec.Struct, frozen=True, kw_only=True):
    """The end of an order, or its coming to rest, and the trade that it made."""

    config: BotConfig
    number: int
    type: OrderType
    outcome: Outcome
    trade: Trade | None
    #: The order was given up, and is booked after all.
    late: bool = False


class OrderNotOpenError(Exception):
    """An order that was found unsettled under the bot's row lock could not be settled: a bug."""


class _End(msgspec.Struct, frozen=True, kw_only=True):
    """What an outcome writes into the order's row."""

    status: OrderStatus
    venue_order_id: int | None = None
    executed_base: Decimal = ZERO
    executed_quote: Decimal = ZERO
    error_code: int | None = None
    error_message: str | None = None


def ordered(config: BotConfig, intent: OrderIntent, *, tag: str, at: datetime) -> Order:
    """Return the intent as it is going to stand; `at` is the venue's time, cut to whole milliseconds."""
    return Order(
        bot_id=config.id,
        number=intent.number,
        symbol=config.symbol,
        side=intent.side,
        reason=intent.reason,
        quantity_base=intent.quantity_base,
        quantity_quote=intent.quantity_quote,
        decided_price_quote=intent.decided_price_quote,
        client_order_id=client_order_id(tag, config.id, intent.number),
        intended_at=at.astimezone(UTC).replace(microsecond=at.microsecond // 1000 * 1000),
        type=intent.type,
        take_profit_price=intent.take_profit_price,
        stop_loss_price=intent.stop_loss_price,
        cancels_number=intent.cancels_number,
    )


async def insert_orders(tx: Transaction, intents: Sequence[tuple[BotConfig, Order]]) -> None:
    """Record intents."""
    if intents:
        await tx.execute(insert(orders), [_order_row(config, order) for config, order in intents])


async def settle_orders(tx: Transaction, bookings: Sequence[Booking]) -> None:
    """Record how open orders ended, with their fills and trades."""
    if not bookings:
        return
    ends = [_end(booking) for booking in bookings]
    arrays: dict[str, list[Any]] = {
        name: [getattr(end, name) for end in ends] for name in _End.__struct_fields__
    }
    arrays["bot_id"] = [booking.config.id for booking in bookings]
    arrays["number"] = [booking.number for booking in bookings]
    arrays["late"] = [booking.late for booking in bookings]
    found = {(row.bot_id, row.number): row.id for row in await tx.execute(_SETTLE, arrays)}
    if len(found) != len(bookings):
        raise OrderNotOpenError
    fill_rows = [row for booking in bookings for row in _fill_rows(booking, found[_key(booking)])]
    if fill_rows:
        await tx.execute(insert(fills), fill_rows)
    trade_rows = [
        _trade_row(booking.config, booking.trade, found[_key(booking)])
        for booking in bookings
        if booking.trade is not None
    ]
    if trade_rows:
        await tx.execute(insert(trades), trade_rows)


def _key(booking: Booking) -> tuple[int, int]:
    return booking.config.id, booking.number


def _end(booking: Booking) -> _End:
    match booking.outcome:
        case Executed() | Resting() | ListEnded() as taken:
            return _taken(booking.type, taken)
        case Rejected(code=code, message=message):
            return _End(status=OrderStatus.REJECTED, error_code=code, error_message=_short(message))
        case NeverSent(message=message):
            return _End(status=OrderStatus.NEVER_SENT, error_message=_short(message))
        case Absent(message=message):
            return _End(status=OrderStatus.ABSENT, error_message=_short(message))
        case Unexplained(message=message):
            # What stands there is not ours; ours is nowhere.
            return _End(status=OrderStatus.ABSENT, error_message=_short(f"unexplained: {message}"))
        case _ as never:
            assert_never(never)


def _taken(type_: OrderType, outcome: Executed | Resting | ListEnded) -> _End:
    """Return what is written of an order that the venue took."""
    match outcome:
        case Executed(status=OrderStatus.FILLED, fills=()):
            return _End(
                status=OrderStatus.EXPIRED,
                venue_order_id=outcome.venue_order_id,
                error_message="the venue shows the order as filled, but has no fills of it",
            )
        case Executed():
            return _summed(outcome.venue_order_id, outcome.status, outcome.fills)
        case Resting(venue_list_id=list_id):
            return _End(status=OrderStatus.RESTING, venue_order_id=list_id)
        case ListEnded(venue_list_id=list_id) if type_ is OrderType.CANCEL:
            # What the list sold is in the list's own row.
            return _End(status=OrderStatus.CANCELLED, venue_order_id=list_id)
        case ListEnded():
            return _summed(outcome.venue_list_id, outcome.status, outcome.fills)
        case _ as never:
            assert_never(never)


def _summed(venue_order_id: int, status: OrderStatus, of_order: Sequence[Fill]) -> _End:
    return _End(
        status=status,
        venue_order_id=venue_order_id,
        executed_base=total(fill.quantity_base for fill in of_order),
        executed_quote=total(fill.quantity_quote for fill in of_order),
    )


def _short(message: str) -> str:
    return message[:_LONGEST_MESSAGE]


def _order_row(config: BotConfig, order: Order) -> dict[str, Any]:
    return msgspec.structs.asdict(order) | {
        "user_id": config.user_id,
        "api_key_id": config.api_key_id,
        "venue": config.venue,
    }


def _fill_rows(booking: Booking, order_id: int) -> list[dict[str, Any]]:
    if not isinstance(booking.outcome, Executed | ListEnded) or booking.type is OrderType.CANCEL:
        return []
    of_order = {"order_id": order_id, "bot_id": booking.config.id}
    return [msgspec.structs.asdict(fill) | of_order for fill in booking.outcome.fills]


def _trade_row(config: BotConfig, trade: Trade, order_id: int) -> dict[str, Any]:
    row = msgspec.structs.asdict(trade)
    del row["order_number"]
    return row | {
        "order_id": order_id,
        "bot_id": config.id,
        "user_id": config.user_id,
        "symbol": config.symbol,
        "trading_day": trading_day(trade.executed_at),
    }


_SETTLE = text(f"""
    UPDATE orders o
    SET status = g.status, venue_order_id = g.venue_order_id, executed_base = g.executed_base,
        executed_quote = g.executed_quote, error_code = g.error_code, error_message = g.error_message,
        settled_at = CASE WHEN g.status = 'resting' THEN NULL ELSE clock_timestamp() END
    FROM unnest(
        CAST(:bot_id AS bigint[]), CAST(:number AS integer[]), CAST(:status AS text[]),
        CAST(:venue_order_id AS bigint[]), CAST(:executed_base AS numeric[]),
        CAST(:executed_quote AS numeric[]), CAST(:error_code AS integer[]), CAST(:error_message AS text[]),
        CAST(:late AS boolean[])
    ) AS g(
        bot_id, number, status, venue_order_id, executed_base, executed_quote, error_code, error_message, late
    )
    WHERE o.bot_id = g.bot_id AND o.number = g.number
      AND (o.status IN ('open', 'resting') OR g.late AND {GIVEN_UP})
    RETURNING o.bot_id, o.number, o.id
""")  # noqa: S608 - built from a constant
