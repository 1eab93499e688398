"""The guard of a position: stop-loss, take-profit and trailing stop, without any strategy code.

A threshold never triggers later than its percentage asks for: stops are rounded up to the tick, the
take-profit down. The trailing stop only ever rises. Prices that are not positive are no prices: a
venue that shows zero for a delisted symbol sells nothing.
"""

from decimal import Decimal

import msgspec
from msgspec.structs import replace

from botwarden.trading.bot import ZERO, BotConfig, BotState, Cause
from botwarden.trading.decisions import Decision, PriceMoved
from botwarden.trading.exits import leave
from botwarden.trading.instruments import Instrument
from botwarden.trading.money import ceil_to_step, floor_to_step, percent_of
from botwarden.trading.orders import Reason


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """The prices at which a bot wants to be woken; whatever is None never wakes it."""

    sell_at_or_below: Decimal | None = None
    sell_at_or_above: Decimal | None = None
    #: Above this the trailing stop rises.
    new_high_above: Decimal | None = None
    #: A close request, or an exit that waited for a list to end, waits for any price.
    always: bool = False


_ASLEEP = Thresholds()


def thresholds(config: BotConfig, state: BotState) -> Thresholds:
    """Return when the guard has something to do; nothing while an order of the bot is open."""
    if not state.in_position or state.open_order_number is not None:
        return _ASLEEP
    always = state.close_requested_at is not None or state.leaving is not None
    if not state.is_active:
        return Thresholds(always=always)
    is_trailing = trails(config)
    trailing = raise_high(config, state, ZERO).trailing_stop_price if is_trailing else None
    stops = [price for price in (state.stop_loss_price, trailing) if price is not None]
    return Thresholds(
        sell_at_or_below=max(stops, default=None),
        sell_at_or_above=state.take_profit_price,
        new_high_above=_high(state) if is_trailing else None,
        always=always,
    )


def raise_high(
    config: BotConfig, state: BotState, price_quote: Decimal, *, instrument: Instrument | None = None
) -> BotState:
    """Return the state with the high of its position raised to this price, and the trailing stop with it.

    Without an instrument the trailing stop is not rounded. Equal to the given state where nothing rises:
    a trailing stop that its owner has written stands until the next high.
    """
    if not state.in_position:
        return state
    raised = replace(state, max_price_since_entry=max(_high(state), price_quote))
    if not trails(config):
        return raised
    stood = state.trailing_stop_price
    if stood is not None and price_quote <= _high(state):
        return raised
    trailing = _below(_high(raised), config.trailing_stop_perc or ZERO, instrument)
    return replace(raised, trailing_stop_price=trailing if stood is None else max(stood, trailing))


def with_stops(config: BotConfig, state: BotState, instrument: Instrument | None) -> BotState:
    """Return the state of a position with those of its thresholds computed that are missing."""
    entry = state.entry_price
    if not state.in_position or entry is None:
        return state
    stop_loss, take_profit = state.stop_loss_price, state.take_profit_price
    if stop_loss is None:
        stop_loss = _below(entry, config.stop_loss_perc, instrument)
    if take_profit is None:
        take_profit = _above(entry, config.take_profit_perc, instrument)
    guarded = replace(state, stop_loss_price=stop_loss, take_profit_price=take_profit)
    return raise_high(config, guarded, entry, instrument=instrument)


def on_price(
    config: BotConfig, state: BotState, event: PriceMoved, instrument: Instrument | None
) -> Decision:
    """Carry out a close request, or leave the position where a threshold is met."""
    unchanged = Decision(state=state, cause=Cause.RISK, kind="price.seen")
    if event.price_quote <= 0 or not state.in_position:
        return unchanged
    if not state.is_active and state.close_requested_at is None:
        return unchanged
    marked = state
    if state.is_active:
        marked = raise_high(config, state, event.price_quote, instrument=instrument)
    reason = _reason(config, marked, event.price_quote)
    if reason is not None and state.open_order_number is None:
        price, free = event.price_quote, event.free_base
        decision = leave(marked, reason, price, instrument, at=event.at, free_base=free)
        if decision is not None:
            return decision
    return Decision(state=marked, cause=Cause.RISK, kind="mark.raised" if marked != state else "price.seen")


def _reason(config: BotConfig, state: BotState, price_quote: Decimal) -> Reason | None:
    if state.close_requested_at is not None:
        return Reason.CLOSE_REQUESTED
    if not state.is_active:
        return None
    if state.leaving is not None:
        return Reason(state.leaving)
    if state.stop_loss_price is not None and price_quote <= state.stop_loss_price:
        return Reason.STOP_LOSS
    trailing = state.trailing_stop_price if trails(config) else None
    if trailing is not None and price_quote <= trailing:
        return Reason.TRAILING_STOP
    if state.take_profit_price is not None and price_quote >= state.take_profit_price:
        return Reason.TAKE_PROFIT
    return None


def trails(config: BotConfig) -> bool:
    """Return whether positions of this bot have a trailing stop."""
    return config.trailing_stop_active and config.trailing_stop_perc is not None


def _high(state: BotState) -> Decimal:
    return state.max_price_since_entry or state.entry_price or ZERO


def _below(price: Decimal, percent: Decimal, instrument: Instrument | None) -> Decimal:
    """Return the price so many percent lower, rounded up to the tick where that stays below the price."""
    asked = price - percent_of(price, percent)
    rounded = ceil_to_step(asked, instrument.tick_size) if instrument is not None else asked
    return rounded if rounded < price else asked


def _above(price: Decimal, percent: Decimal, instrument: Instrument | None) -> Decimal:
    """Return the price so many percent higher, rounded down to the tick where that stays above the price."""
    asked = price + percent_of(price, percent)
    rounded = floor_to_step(asked, instrument.tick_size) if instrument is not None else asked
    return rounded if rounded > price else asked
