"""What owners ask for: start, stop, close.

Asking again for what is already so changes nothing. The last wish wins: a stop withdraws a close
request, whether or not a sale for it is under way, so that nothing is intended after the stop.
"""

from msgspec.structs import replace

from botwarden.errors import Refused
from botwarden.trading.bot import BotState, Cause, HaltedBy, Status
from botwarden.trading.decisions import CloseRequested, Decision


def start(state: BotState) -> Decision:
    """Let the bot run; lifts a pause and a quarantine, which a limit that still holds brings back.

    A bot that is active and not halted goes on as it is, also towards a close that was asked for.
    """
    started = started_state(state)
    return Decision(state=started, cause=Cause.OWNER, kind="bot.started")


def started_state(state: BotState) -> BotState:
    """Return the state after a start."""
    if state.is_active and state.halted_by is None:
        return state
    return replace(
        state,
        is_active=True,
        status=Status.PENDING,
        halted_by=None,
        close_requested_at=None,
        leaving=None,
        protection_retry_at=None,
        last_error_message=None,
    )


def stop(state: BotState) -> Decision:
    """Let the bot stop; a position is kept, and an order in flight is still settled.

    A protective list that rests is taken off by the bot's holder.
    """
    return Decision(state=stopped_state(state), cause=Cause.OWNER, kind="bot.stopped")


def stopped_state(state: BotState) -> BotState:
    """Return the state after a stop."""
    return replace(
        state,
        is_active=False,
        status=Status.STOPPED,
        halted_by=HaltedBy.OWNER,
        close_requested_at=None,
        leaving=None,
        protection_retry_at=None,
    )


def close(state: BotState, event: CloseRequested) -> Decision:
    """Remember that the position shall be sold at the next price, whatever it is.

    While an order is in flight, what it buys is meant too.

    Raises:
        Refused: there is no position, and none on its way.
    """
    if not state.in_position and state.open_order_number is None:
        raise Refused("the bot has no position to close")
    closing = state
    if state.close_requested_at is None:
        closing = replace(state, close_requested_at=event.at)
    return Decision(state=closing, cause=Cause.OWNER, kind="bot.close_requested")
