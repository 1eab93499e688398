"""Leaving a position: the intent to sell, and what becomes of a position that is too small to sell.

Never more is sold than this bot's own ledger holds, nor than what the account has free. An exit is
intended on any market status: a venue that takes no orders says so itself.
"""

from decimal import Decimal

from msgspec.structs import replace

from botwarden.trading.bot import ZERO, BotState, Cause, HaltedBy, Status
from botwarden.trading.decisions import Decision
from botwarden.trading.halts import show
from botwarden.trading.instruments import Instrument
from botwarden.trading.orders import OrderIntent, Reason, Side
from botwarden.trading.sizing import exit_size, is_dust

_CAUSES = {
    Reason.SIGNAL: Cause.STRATEGY,
    Reason.STOP_LOSS: Cause.RISK,
    Reason.TAKE_PROFIT: Cause.RISK,
    Reason.TRAILING_STOP: Cause.RISK,
    Reason.CLOSE_REQUESTED: Cause.OWNER,
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
    free_base: Decimal | None = None,
) -> Decision | None:
    """Return the decision to sell what is held; None when nothing can be done about it now.

    What is too small for the venue stays in the books as a position and is sold together with the next
    entry; a close request for it is done with, as waiting longer would sell nothing either.
    """
    if instrument is None:
        return None
    held = state.current_position_size_coins
    size = exit_size(held, free_base, price_quote, instrument)
    if size > 0:
        return intend(
            state,
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
    waiting = show(state, Status.WAITING_BELOW_FILTERS)
    return Decision(state=waiting, cause=cause_of(reason), kind="bot.waiting", message=message)


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
    )
