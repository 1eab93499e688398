"""An order that was given up, and stands at the venue after all.

Nobody at the venue knew it while it was looked for; later somebody does. What was executed is booked then,
like any outcome, and its owner is told. Nothing is ordered here: what the find asks for (a stop to be
watched, a list to be taken off) follows from the new state by itself.

    bought late     joins what is held; thresholds are counted from the average price of both
    sold late       taken from what is held, never below zero; the rest is named
    list at rest    rests again; one that protects nothing is taken off like any other
    elsewhere       the bot trades another coin or account now: its position is not touched
"""

from decimal import Decimal

from msgspec.structs import replace

from botwarden.trading.bot import BotConfig, BotState, Cause
from botwarden.trading.decisions import Decision, LateFound
from botwarden.trading.halts import short
from botwarden.trading.instruments import Instrument
from botwarden.trading.orders import Executed, ListEnded, OrderStatus, Resting, Side
from botwarden.trading.protection import leg_reason
from botwarden.trading.settlement import booked, done_closing

KIND = "order.found_late"


def can_book(state: BotState, event: LateFound) -> bool:
    """Return whether the find can be booked now, or has to wait until what is under way has ended."""
    if isinstance(event.outcome, Resting) and (event.elsewhere or state.resting_list_number is not None):
        return False  # A bot cares for one list, of its own market.
    return state.open_order_number is None and _tells_something(event)


def find_late(
    config: BotConfig, state: BotState, event: LateFound, instrument: Instrument | None
) -> Decision:
    """Book what became of an order that was given up; nothing while it has to wait."""
    unchanged = Decision(state=state, cause=Cause.SUPERVISOR, kind=KIND)
    if not can_book(state, event):
        return unchanged
    match event.outcome:
        case Resting():
            return _told(replace(unchanged, state=_resting(state, event)), f"{_name(event)} rests there")
        case Executed(fills=()):
            return replace(unchanged, message=f"{_name(event)} had ended there with nothing executed")
        case ListEnded() as ended if not ended.fills:
            return replace(unchanged, message=f"{_name(event)} had ended there with nothing executed")
        case _ if event.elsewhere:
            note = "its coins are none of the bot's position, which is in another market or account now"
            return _told(unchanged, f"{_executed(event)}; {note}")
        case _:
            return _booked(config, state, event, instrument)


def _tells_something(event: LateFound) -> bool:
    """Return whether the venue is clear about the order: executions without fills are no answer yet."""
    outcome = event.outcome
    return not (isinstance(outcome, Executed) and outcome.status is OrderStatus.FILLED and not outcome.fills)


def _resting(state: BotState, event: LateFound) -> BotState:
    return replace(state, resting_list_number=event.order.number, protection_retry_at=None)


def _booked(config: BotConfig, state: BotState, event: LateFound, instrument: Instrument | None) -> Decision:
    order, outcome = event.order, event.outcome
    if isinstance(outcome, ListEnded):
        order = replace(order, reason=leg_reason(outcome))
        outcome = Executed(venue_order_id=outcome.venue_list_id, status=outcome.status, fills=outcome.fills)
    assert isinstance(outcome, Executed)  # noqa: S101 - lists at rest have no fills to book
    decision = done_closing(booked(config, state, order, outcome, instrument))
    notes = [_executed(event), _excess(state, event, decision), decision.message]
    return _told(decision, "; ".join(note for note in notes if note))


def _excess(state: BotState, event: LateFound, decision: Decision) -> str | None:
    """Name what was sold beyond what the books held: the account's other coins have paid for it."""
    trade = decision.trade
    if trade is None or event.order.side is Side.BUY:
        return None
    beyond = trade.quantity_base - state.current_position_size_coins
    return f"{_plain(beyond)} of it were not in the bot's books" if beyond > 0 else None


def _told(decision: Decision, message: str) -> Decision:
    """Alarm the owner."""
    state = replace(decision.state, last_error_message=short(message))
    return replace(decision, state=state, cause=Cause.SUPERVISOR, kind=KIND, message=message)


def _executed(event: LateFound) -> str:
    outcome = event.outcome
    fills = () if isinstance(outcome, Resting) else outcome.fills
    size = sum((fill.quantity_base for fill in fills), Decimal(0))
    return f"{_name(event)} was executed: {event.order.side.value} {_plain(size)} {event.order.symbol}"


def _name(event: LateFound) -> str:
    return f"{event.order.client_order_id} was given up, and found at the exchange later: it"


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
