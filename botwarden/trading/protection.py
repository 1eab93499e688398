"""The protective order list: take-profit and stop-loss of a position, resting at the venue.

It protects the position while nobody here is awake. A resting list is not open: the bot goes on deciding,
and its guard goes on watching. Whoever wants to sell takes the list off first (`exits.leave`), learns how
it ended, and sells what is left; so list and bot never sell the same coins.

    flat ──entry──▶ unprotected ──place──▶ open ──taken──▶ resting ──take off──▶ open cancel
                        ▲  ▲                │ refused          │ a leg fills          │
                        │  └────later───────┘                  ▼                      ▼
                        └───part executed, or none──────── how it ended ◀─────────────┘
"""

from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, assert_never

from msgspec.structs import replace

from botwarden.trading.bot import ZERO, BotConfig, BotState, Cause
from botwarden.trading.decisions import Decision, OutcomeArrived, ProtectionDue
from botwarden.trading.exits import RETRY_AFTER, intend, may_try, take_off
from botwarden.trading.halts import short
from botwarden.trading.instruments import Instrument
from botwarden.trading.money import ceil_to_step, floor_to_step, total
from botwarden.trading.orders import (
    Absent,
    Executed,
    ListEnded,
    NeverSent,
    Order,
    OrderIntent,
    OrderType,
    Reason,
    Rejected,
    Resting,
    Side,
    Unexplained,
)
from botwarden.trading.settlement import booked, done_closing, noted, unexplained
from botwarden.trading.sizing import exit_size

#: A cancel is intended again so long after one that came to nothing.
CANCEL_AGAIN_AFTER = timedelta(seconds=2)


class Protection(StrEnum):
    """What is shown of a position for which protection was asked."""

    RESTING = "resting"
    UNPROTECTED = "unprotected"


class _Prices(NamedTuple):
    take_profit: Decimal
    stop_loss: Decimal


def protection_of(config: BotConfig, state: BotState) -> Protection | None:
    """Return what protects the position at the venue now; None when nothing shall, or nothing is held."""
    if state.resting_list_number is not None:
        return Protection.RESTING
    return Protection.UNPROTECTED if config.exchange_protection and state.in_position else None


def is_due(config: BotConfig, state: BotState, resting: Order | None, instrument: Instrument | None) -> bool:
    """Return whether the list is not as it should be, and nothing is under way that may change that."""
    if state.open_order_number is not None:
        return False
    wanted = _is_wanted(config, state)
    if state.resting_list_number is None:
        return wanted
    return not wanted or _has_moved(state, resting, instrument)


def tend(config: BotConfig, state: BotState, event: ProtectionDue, instrument: Instrument | None) -> Decision:
    """Place the list, or take it off; nothing when it is as it should be, or was tried a moment ago."""
    unchanged = Decision(state=state, cause=Cause.RISK, kind="protection.seen")
    if not is_due(config, state, event.resting, instrument) or not may_try(state, event.at):
        return unchanged
    if state.resting_list_number is not None:
        return take_off(state, Reason.PROTECTION, state.entry_price or ZERO)
    return _place(state, event.price_quote, instrument) or unchanged


def settle(
    config: BotConfig, state: BotState, event: OutcomeArrived, instrument: Instrument | None
) -> Decision:
    """Book how a list or its cancel ended; of any that is neither open nor resting nothing is booked."""
    order = event.order
    if order.number not in (state.open_order_number, state.resting_list_number):
        return noted(order, state, "the order is not open: nothing is booked")
    freed = state
    if order.number == state.open_order_number:
        freed = replace(state, open_order_number=None)
    return done_closing(_outcome(config, freed, event, instrument))


def _is_wanted(config: BotConfig, state: BotState) -> bool:
    guarded = config.exchange_protection and state.is_active and state.in_position
    leaves = state.leaving is not None or state.close_requested_at is not None
    return guarded and not leaves


def _has_moved(state: BotState, resting: Order | None, instrument: Instrument | None) -> bool:
    """Return whether the owner has written other thresholds since the list was placed."""
    prices = _prices(state, instrument)
    if resting is None or prices is None:
        return False
    return prices != (resting.take_profit_price, resting.stop_loss_price)


def _prices(state: BotState, instrument: Instrument | None) -> _Prices | None:
    """Return the list's prices, rounded like the guard's: never later than the threshold asks for."""
    if instrument is None or state.take_profit_price is None or state.stop_loss_price is None:
        return None
    return _Prices(
        take_profit=floor_to_step(state.take_profit_price, instrument.tick_size),
        stop_loss=ceil_to_step(state.stop_loss_price, instrument.tick_size),
    )


def _place(state: BotState, price_quote: Decimal | None, instrument: Instrument | None) -> Decision | None:
    """Return the decision to place the list; None when the venue would not take it at these prices."""
    prices = _prices(state, instrument)
    if instrument is None or prices is None or not ZERO < prices.stop_loss < prices.take_profit:
        return None
    if price_quote is not None and not prices.stop_loss < price_quote < prices.take_profit:
        return None  # The guard is about to sell.
    size = exit_size(state.current_position_size_coins, None, prices.stop_loss, instrument)
    if size == 0:
        return None
    return intend(
        state,
        OrderIntent(
            number=state.orders_made + 1,
            type=OrderType.OCO,
            side=Side.SELL,
            reason=Reason.PROTECTION,
            quantity_base=size,
            quantity_quote=None,
            decided_price_quote=state.entry_price or prices.stop_loss,
            take_profit_price=prices.take_profit,
            stop_loss_price=prices.stop_loss,
        ),
    )


def _outcome(
    config: BotConfig, freed: BotState, event: OutcomeArrived, instrument: Instrument | None
) -> Decision:
    order = event.order
    match event.outcome:
        case Resting():
            return _rests(order, freed)
        case ListEnded() as ended:
            return _ended(config, freed, event, ended, instrument)
        case Rejected(code=code, message=message):
            return _refused(freed, event, f"{code}: {message}")
        case NeverSent(message=message) | Absent(message=message):
            return noted(order, _later(freed, event), message)
        case Unexplained(message=message):
            return unexplained(order, _later(freed, event), message)
        case Executed():
            return unexplained(order, _later(freed, event), "a market order answers to an order list")
        case _ as never:
            assert_never(never)


def _rests(order: Order, freed: BotState) -> Decision:
    # The venue's refusal, if one was shown, is over.
    message = None if freed.protection_retry_at is not None else freed.last_error_message
    rests = replace(
        freed, resting_list_number=order.number, protection_retry_at=None, last_error_message=message
    )
    return Decision(state=rests, cause=Cause.RISK, kind="protection.resting")


def _refused(freed: BotState, event: OutcomeArrived, message: str) -> Decision:
    """Show why the position is not protected at the venue; the guard goes on as without it."""
    shown = _later(freed, event)
    if event.order.type is OrderType.OCO:
        shown = replace(shown, last_error_message=short(f"not protected at the exchange: {message}"))
    return Decision(state=shown, cause=Cause.RISK, kind="protection.refused", message=message)


def _later(state: BotState, event: OutcomeArrived) -> BotState:
    pause = RETRY_AFTER if event.order.type is OrderType.OCO else CANCEL_AGAIN_AFTER
    return replace(state, protection_retry_at=event.at + pause)


def _ended(
    config: BotConfig,
    freed: BotState,
    event: OutcomeArrived,
    ended: ListEnded,
    instrument: Instrument | None,
) -> Decision:
    """Book what the list sold; a cancel whose list was booked before has nothing left to book."""
    order = event.order
    number = order.number if order.cancels_number is None else order.cancels_number
    if order.type is OrderType.CANCEL and number != freed.resting_list_number:
        return noted(order, freed, "the list had ended before")
    cleared = replace(freed, resting_list_number=None, protection_retry_at=None)
    if order.type is OrderType.OCO:
        cleared = _later(cleared, event)  # It ended by itself: what is left waits a moment for a new one.
    if not ended.fills:
        return noted(order, cleared, "the list ended with nothing executed")
    sold = replace(order, number=number, reason=leg_reason(ended))
    executed = Executed(venue_order_id=ended.venue_list_id, status=ended.status, fills=ended.fills)
    return booked(config, cleared, sold, executed, instrument)


def leg_reason(ended: ListEnded) -> Reason:
    """Return the reason of the leg that sold (more)."""
    above, below = (total(fill.quantity_base for fill in leg) for leg in (ended.take_profit, ended.stop_loss))
    return Reason.TAKE_PROFIT if above > below else Reason.STOP_LOSS


def retry_wait_s(state: BotState, now: datetime) -> float:
    """Return how long to wait before a list that is due may be tended."""
    return max((state.protection_retry_at - now).total_seconds(), 0.0) if state.protection_retry_at else 0.0
