"""What follows from the word of a strategy.

Exits go before entries, a limit before any entry; an evaluation that changes nothing returns an equal
state. A bot in quarantine has no strategy at all.
"""

from decimal import Decimal

from msgspec.structs import replace

from botwarden.trading.bot import BotConfig, BotState, Cause, Status
from botwarden.trading.decisions import Decision, Evaluated, Signal
from botwarden.trading.exits import intend, leave
from botwarden.trading.guard import raise_high
from botwarden.trading.halts import DISTURBANCES, is_quarantined, show
from botwarden.trading.instruments import Instrument
from botwarden.trading.limits import obey_limits
from botwarden.trading.orders import OrderIntent, Reason, Side
from botwarden.trading.sizing import entry_size, is_dust

#: The status of a symbol on which everything is allowed. Source: Binance spot API, exchangeInfo.
_TRADING = "TRADING"


def evaluate(config: BotConfig, state: BotState, event: Evaluated, instrument: Instrument | None) -> Decision:
    """Pause or go on, leave or enter, and show what the bot waits for.

    While an order is open nothing is decided: its settlement looks at the limits, and the next
    evaluation at the signal. A bot that nobody has adopted yet does not listen.
    """
    if not may_decide(state) or event.price_quote <= 0:
        return Decision(state=state, cause=Cause.STRATEGY, kind="bot.evaluated")
    price = event.price_quote
    marked = obey_limits(config, raise_high(config, state, price, instrument=instrument))
    decision: Decision | None = None
    if event.signal is Signal.SELL and marked.in_position:
        decision = leave(marked, Reason.SIGNAL, price, instrument, at=event.at)
        marked = replace(marked, leaving=Reason.SIGNAL)  # If it cannot be done now, the next price does it.
    elif event.signal is Signal.BUY and _has_room(marked, price, instrument):
        decision = _enter(config, marked, price, instrument)
    return decision or _shown(state, _at_rest(config, marked, event, instrument))


def may_decide(state: BotState) -> bool:
    """Return whether the bot listens to its strategy now; what it says meanwhile has to be said again."""
    adopted = state.is_active and state.status not in (Status.STOPPED, Status.PENDING)
    return adopted and state.open_order_number is None and not is_quarantined(state)


def _has_room(state: BotState, price: Decimal, instrument: Instrument | None) -> bool:
    """Return whether the bot may enter: flat, or left with too little to ever sell by itself."""
    if state.halted_by is not None or state.status in DISTURBANCES or state.close_requested_at is not None:
        return False
    if state.resting_list_number is not None:
        return False
    return not state.in_position or _is_stuck(state, price, instrument)


def _enter(
    config: BotConfig, state: BotState, price: Decimal, instrument: Instrument | None
) -> Decision | None:
    if instrument is None or instrument.status != _TRADING:
        return None
    size = entry_size(config, price, instrument)
    if size is None:
        return None
    return intend(
        state,
        OrderIntent(
            number=state.orders_made + 1,
            side=Side.BUY,
            reason=Reason.SIGNAL,
            quantity_base=size.quantity_base,
            quantity_quote=size.quantity_quote,
            decided_price_quote=price,
        ),
    )


def _at_rest(config: BotConfig, state: BotState, event: Evaluated, instrument: Instrument | None) -> BotState:
    """Return the state showing why nothing is ordered."""
    if state.in_position:
        stuck = _is_stuck(state, event.price_quote, instrument)
        return show(state, Status.WAITING_BELOW_FILTERS if stuck else Status.RUNNING)
    # Between two candles the strategy holds, but the reason why its last signal came to nothing stands.
    asks = event.signal is Signal.BUY
    waited = event.signal is Signal.HOLD and state.status == Status.WAITING_BELOW_FILTERS
    if asks and instrument is None:
        return show(state, Status.RUNNING)
    if asks and instrument is not None and instrument.status != _TRADING:
        return show(state, Status.WAITING_MARKET_CLOSED)
    if (asks or waited) and instrument is not None:
        too_small = entry_size(config, event.price_quote, instrument) is None
        return show(state, Status.WAITING_BELOW_FILTERS if too_small else Status.WAITING_NO_SIGNAL)
    return show(state, Status.WAITING_NO_SIGNAL)


def _is_stuck(state: BotState, price: Decimal, instrument: Instrument | None) -> bool:
    return instrument is not None and is_dust(state.current_position_size_coins, price, instrument)


def _shown(before: BotState, after: BotState) -> Decision:
    halted = after.halted_by is not None
    if after.halted_by != before.halted_by or (halted and after.status != before.status):
        kind = "bot.paused" if halted else "bot.resumed"
        return Decision(state=after, cause=Cause.RISK, kind=kind, message=after.status)
    if after.status != before.status:
        kind = "bot.running" if after.status == Status.RUNNING else "bot.waiting"
        return Decision(state=after, cause=Cause.STRATEGY, kind=kind)
    kind = "mark.raised" if after != before else "bot.evaluated"
    return Decision(state=after, cause=Cause.STRATEGY, kind=kind)
