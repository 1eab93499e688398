"""Booking how an order ended.

Only what the venue executed is booked: a refused, unsent or unfound order never becomes a trade. An
outcome of any order but the open one changes nothing, so each order is booked once.
"""

from collections.abc import Callable
from typing import assert_never

from msgspec.structs import replace

from botwarden.trading.bot import ZERO, BotConfig, BotState, HaltedBy, Status
from botwarden.trading.days import trading_day
from botwarden.trading.decisions import Decision, OutcomeArrived
from botwarden.trading.exits import RETRY_AFTER, cause_of, closed, flat
from botwarden.trading.guard import with_stops
from botwarden.trading.halts import short, show
from botwarden.trading.instruments import Instrument
from botwarden.trading.limits import obey_limits
from botwarden.trading.money import BOOKS, average_price
from botwarden.trading.orders import (
    Absent,
    Executed,
    ListEnded,
    NeverSent,
    Order,
    OrderStatus,
    Rejected,
    Resting,
    Side,
    Trade,
    Unexplained,
)
from botwarden.trading.pnl import Executions, Holding, add_up, after_buying, after_selling
from botwarden.trading.sizing import is_dust


def settle(
    config: BotConfig, state: BotState, event: OutcomeArrived, instrument: Instrument | None
) -> Decision:
    """Book the outcome of the open order; an outcome of any other order changes nothing."""
    order = event.order
    if order.number != state.open_order_number:
        return noted(order, state, "the order is not open: nothing is booked")
    decision = done_closing(_outcome(config, replace(state, open_order_number=None), event, instrument))
    if order.side is Side.SELL and config.exchange_protection and decision.state.in_position:
        # The guard tries again at once; a list that is placed in between would only have to be taken off.
        later = replace(decision.state, protection_retry_at=event.at + RETRY_AFTER)
        return replace(decision, state=later)
    return decision


def _outcome(
    config: BotConfig, freed: BotState, event: OutcomeArrived, instrument: Instrument | None
) -> Decision:
    order = event.order
    match event.outcome:
        case Executed(fills=(), status=OrderStatus.FILLED):
            return unexplained(order, freed, "the venue shows the order as filled, but has no fills of it")
        case Executed(fills=()):
            return noted(order, freed, "the venue ended the order with nothing executed")
        case Executed() as executed:
            return booked(config, freed, order, executed, instrument)
        case Rejected(code=code, message=message):
            return _rejected(order, freed, f"{code}: {message}")
        case NeverSent(message=message) | Absent(message=message):
            return noted(order, freed, message)
        case Unexplained(message=message):
            return unexplained(order, freed, message)
        case Resting() | ListEnded():
            return unexplained(order, freed, "an order list answers to a market order")
        case _ as never:
            assert_never(never)


def done_closing(decision: Decision) -> Decision:
    """Stop the bot when a close was asked for and there is nothing to sell."""
    state = decision.state
    if state.close_requested_at is None or state.in_position:
        return decision
    # What went wrong with an order that brought nothing is still to be read.
    message = state.last_error_message if decision.trade is None else None
    return replace(decision, state=replace(closed(state), last_error_message=message))


def noted(order: Order, state: BotState, message: str) -> Decision:
    """Return the decision to settle an order that made no trade."""
    return Decision(state=state, cause=cause_of(order.reason), kind="order.settled", message=message)


def _rejected(order: Order, state: BotState, message: str) -> Decision:
    """Keep the venue's words; a stop, a pause and a quarantine stay to be seen."""
    shown = show(replace(state, last_error_message=short(message)), Status.ERROR_ORDER_REJECTED)
    return noted(order, shown, message)


def unexplained(order: Order, state: BotState, message: str) -> Decision:
    """Halt: only the guard works until the owner has looked and starts the bot again."""
    halted = replace(state, last_error_message=short(message))
    if state.is_active:
        halted = replace(halted, status=Status.ERROR_ORDER_UNEXPLAINED, halted_by=HaltedBy.SYSTEM)
    return noted(order, halted, message)


def booked(
    config: BotConfig, state: BotState, order: Order, executed: Executed, instrument: Instrument | None
) -> Decision:
    """Return the decision to book the fills (not empty) as one trade of the order."""
    sums = add_up(executed.fills, is_base=_base_asset_test(order, instrument))
    trade = _trade(order, sums)
    note: str | None = None
    match order.side:
        case Side.BUY:
            after = _entered(config, state, sums, instrument)
        case Side.SELL:
            after, trade, note = _left(state, trade, sums, instrument)
        case _ as never:
            assert_never(never)
    counted = obey_limits(config, _calmed(_counted(after, trade)))
    return Decision(
        state=counted, cause=cause_of(order.reason), kind="trade.booked", trade=trade, message=note
    )


def _base_asset_test(order: Order, instrument: Instrument | None) -> Callable[[str], bool]:
    """Return how to tell the traded coin; a symbol is its base asset's name and then its quote asset's."""
    if instrument is not None:
        return instrument.base_asset.__eq__
    return order.symbol.startswith


def _trade(order: Order, sums: Executions) -> Trade:
    return Trade(
        order_number=order.number,
        side=order.side,
        reason=order.reason,
        price_quote=average_price(sums.quantity_quote, sums.quantity_base),
        quantity_base=sums.quantity_base,
        quantity_quote=sums.quantity_quote,
        fee_quote=BOOKS.add(sums.fee_quote, sums.fee_base_in_quote),
        executed_at=sums.executed_at,
    )


def _entered(config: BotConfig, state: BotState, sums: Executions, instrument: Instrument | None) -> BotState:
    """Return the state with what was bought, its thresholds counted from the average price paid."""
    holding = after_buying(state, sums)
    before = state.current_position_size_coins
    quote, base = sums.quantity_quote, sums.quantity_base
    if before > 0 and state.entry_price is not None:
        quote = BOOKS.add(quote, BOOKS.multiply(before, state.entry_price))
        base = BOOKS.add(base, before)
    bought = replace(
        flat(state),
        in_position=True,
        entry_price=average_price(quote, base),
        current_position_size_coins=holding.size_base,
        position_cost_quote=holding.cost_quote,
    )
    return with_stops(config, bought, instrument)


def _left(
    state: BotState, trade: Trade, sums: Executions, instrument: Instrument | None
) -> tuple[BotState, Trade, str | None]:
    """Return the state after a sale, its trade with what it realised, and a note about dust.

    What remains is dust when it is less than the venue lets sell at the price of the sale. It is booked
    off: the bot is flat, and the sale bears the dust's cost.
    """
    left, realised = after_selling(state, sums)
    note: str | None = None
    if (
        instrument is not None
        and left.size_base > 0
        and is_dust(left.size_base, trade.price_quote, instrument)
    ):
        note = f"{left.size_base:f} {instrument.base_asset} of dust stay in the account and are booked off"
        realised = BOOKS.subtract(realised, left.cost_quote)
        left = Holding(size_base=ZERO, cost_quote=ZERO)
    after = flat(state)
    if left.size_base > 0:
        after = replace(
            state, current_position_size_coins=left.size_base, position_cost_quote=left.cost_quote
        )
    return after, replace(trade, realised_pnl_quote=realised), note


def _counted(state: BotState, trade: Trade) -> BotState:
    """Return the state with the trade in its counters, if it belongs to their day.

    A trade of an earlier day is none of theirs, and one of a later day is counted by that day's turn.
    """
    if trading_day(trade.executed_at) != state.trading_day:
        return state
    return replace(
        state,
        daily_pnl=BOOKS.add(state.daily_pnl, trade.realised_pnl_quote),
        daily_trades_count=state.daily_trades_count + 1,
    )


def _calmed(state: BotState) -> BotState:
    """Return the state without a former refusal, showing what it does now."""
    if state.status == Status.ERROR_ORDER_REJECTED and state.halted_by is None:
        state = replace(state, status=Status.RUNNING, last_error_message=None)
    return show(state, Status.RUNNING if state.in_position else Status.WAITING_NO_SIGNAL)
