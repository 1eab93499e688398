"""Leaving a position: the intent to sell, and what becomes of a position that is too small to sell.

Never more is sold than this bot's own ledger holds, nor than what the account has free. An exit is
intended on any market status: a venue that takes no orders says so itself. While a protective list rests
at the venue it is taken off first, and what is left then is sold: both never sell.
"""

from datetime import datetime, timedelta
from decimal import Decimal

from msgspec.structs import replace

from botwarden.trading.bot import ZERO, BotState, Cause, HaltedBy, Status
from botwarden.trading.decisions import Decision
from botwarden.trading.halts import show
from botwarden.trading.instruments import Instrument
from botwarden.trading.orders import OrderIntent, OrderType, Reason, Side
from botwarden.trading.sizing import exit_size, is_dust

#: A protective list is placed again so long after the venue refused it, or an exit came to nothing.
RETRY_AFTER = timedelta(seconds=30)

_CAUSES = {
    Reason.SIGNAL: Cause.STRATEGY,
    Reason.STOP_LOSS: Cause.RISK,
    Reason.TAKE_PROFIT: Cause.RISK,
    Reason.TRAILING_STOP: Cause.RISK,
    Reason.CLOSE_REQUESTED: Cause.OWNER,
    Reason.PROTECTION: Cause.RISK,
}


def cause_of(reason: Reason) -> Cause:
    """Return who is behind an order with this reason."""
    return _CAUSES[reason]


def leave(
    state: BotState,
    reason: Reason,
    price_quote: Decimal,
    instrument: Instrument | None,
    *,
    at: datetime,
    free_base: Decimal | None = None,
) -> Decision | None:
    """Return the decision to sell what is held; None when nothing can be done about it now.

    That the strategy wants out is remembered until the position is gone: it may say so only once, and an
    order may come to nothing. A price that met a threshold, and a close request, are found again.

    What is too small for the venue stays in the books as a position and is sold together with the next
    entry; a close request for it is done with, as waiting longer would sell nothing either.
    """
    if state.resting_list_number is not None:
        return take_off(state, reason, price_quote, leaving=reason) if may_try(state, at) else None
    if instrument is None:
        return None
    held = state.current_position_size_coins
    size = exit_size(held, free_base, price_quote, instrument)
    if size > 0:
        return intend(
            replace(state, leaving=reason if reason is Reason.SIGNAL else None),
            OrderIntent(
                number=state.orders_made + 1,
                side=Side.SELL,
                reason=reason,
                quantity_base=size,
                quantity_quote=None,
                decided_price_quote=price_quote,
            ),
        )
    if not is_dust(held, price_quote, instrument):
        return None
    message = f"{held:f} {instrument.base_asset} is below what the venue lets sell"
    if reason is Reason.CLOSE_REQUESTED:
        done = replace(closed(state), last_error_message=message)
        return Decision(state=done, cause=Cause.OWNER, kind="bot.stopped", message=message)
    waiting = show(replace(state, leaving=None), Status.WAITING_BELOW_FILTERS)
    return Decision(state=waiting, cause=cause_of(reason), kind="bot.waiting", message=message)


def take_off(
    state: BotState, reason: Reason, price_quote: Decimal, *, leaving: Reason | None = None
) -> Decision:
    """Return the decision to take the resting list off the book; `leaving` is what follows then."""
    return intend(
        replace(state, leaving=leaving or state.leaving),
        OrderIntent(
            number=state.orders_made + 1,
            type=OrderType.CANCEL,
            side=Side.SELL,
            reason=reason,
            quantity_base=None,
            quantity_quote=None,
            decided_price_quote=price_quote,
            cancels_number=state.resting_list_number,
        ),
    )


def may_try(state: BotState, at: datetime) -> bool:
    """Return whether a list may be placed or taken off now, or whether that just failed.

    No pause is longer than `RETRY_AFTER`: one that seems so is a clock's that was set back since.
    """
    until = state.protection_retry_at
    return until is None or at >= until or until - at > RETRY_AFTER


def intend(state: BotState, intent: OrderIntent) -> Decision:
    """Return the decision to place this order."""
    return Decision(
        state=replace(
            show(state, Status.RUNNING), orders_made=intent.number, open_order_number=intent.number
        ),
        cause=cause_of(intent.reason),
        kind="order.intended",
        intent=intent,
    )


def closed(state: BotState) -> BotState:
    """Return the state after its owner's close request is done with: stopped."""
    return replace(
        state,
        is_active=False,
        status=Status.STOPPED,
        halted_by=HaltedBy.OWNER,
        close_requested_at=None,
        leaving=None,
        last_error_message=None,
    )


def flat(state: BotState) -> BotState:
    """Return the state without a position."""
    return replace(
        state,
        in_position=False,
        entry_price=None,
        current_position_size_coins=ZERO,
        position_cost_quote=ZERO,
        trailing_stop_price=None,
        max_price_since_entry=None,
        take_profit_price=None,
        stop_loss_price=None,
        leaving=None,
        protection_retry_at=None,
    )
