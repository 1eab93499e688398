"""Every transition of a bot's state, as one pure function.

HTTP, the bot's actor and the daily reset all go through `decide`. It never reads a clock, never does
I/O and never raises for what the market or the venue does; it raises `Refused` and `Invalid` only for
an owner's command that the state does not allow.

    commands.py    start, stop, close            evaluation.py  the strategy's word: enter, leave, pause
    state_put.py   the owner's PUT               guard.py       prices: stop-loss, trailing, take-profit
    lifecycle.py   adopted, disturbed, crashed   settlement.py  how an order ended, and its booking
    days.py        the day turns                 exits.py       the intent to sell
    protection.py  the list at the venue: placed, taken off, and how it ended
    late.py        an order that was given up, and was there after all
"""

from typing import assert_never

from botwarden.trading import (
    commands,
    days,
    evaluation,
    guard,
    late,
    lifecycle,
    protection,
    settlement,
    state_put,
)
from botwarden.trading.bot import BotConfig, BotState
from botwarden.trading.decisions import (
    Adopted,
    CloseRequested,
    Crashed,
    DayTurned,
    Decision,
    Disturbed,
    Evaluated,
    Input,
    LateFound,
    OutcomeArrived,
    PriceMoved,
    ProtectionDue,
    Recovered,
    Signal,
    StartRequested,
    StatePut,
    StopRequested,
)
from botwarden.trading.instruments import Instrument
from botwarden.trading.orders import OrderType

__all__ = [
    "Adopted",
    "CloseRequested",
    "Crashed",
    "DayTurned",
    "Decision",
    "Disturbed",
    "Evaluated",
    "Input",
    "LateFound",
    "OutcomeArrived",
    "PriceMoved",
    "ProtectionDue",
    "Recovered",
    "Signal",
    "StartRequested",
    "StatePut",
    "StopRequested",
    "decide",
]


def decide(config: BotConfig, state: BotState, event: Input, *, instrument: Instrument | None) -> Decision:
    """Return what follows from `event`.

    Without an instrument (the venue has not told its rules yet) nothing is ever intended.

    Raises:
        Refused: an owner's command that the state does not allow.
        Invalid: a `StatePut` that breaks a rule; every bad field is named.
    """
    match event:
        case StartRequested() | StopRequested() | CloseRequested() | StatePut():
            return _obey(state, event)
        case Evaluated():
            return evaluation.evaluate(config, state, event, instrument)
        case PriceMoved():
            return guard.on_price(config, state, event, instrument)
        case OutcomeArrived() | LateFound() | ProtectionDue():
            return _on_order(config, state, event, instrument)
        case DayTurned():
            return days.turn_day(config, state, event)
        case Adopted():
            return lifecycle.adopt(config, state, event, instrument)
        case Disturbed() | Recovered() | Crashed():
            return _note(config, state, event, instrument)
        case _ as never:
            assert_never(never)


def _obey(state: BotState, command: StartRequested | StopRequested | CloseRequested | StatePut) -> Decision:
    match command:
        case StartRequested():
            return commands.start(state)
        case StopRequested():
            return commands.stop(state)
        case CloseRequested():
            return commands.close(state, command)
        case StatePut():
            return state_put.put(state, command)
        case _ as never:
            assert_never(never)


def _on_order(
    config: BotConfig,
    state: BotState,
    event: OutcomeArrived | LateFound | ProtectionDue,
    instrument: Instrument | None,
) -> Decision:
    match event:
        case ProtectionDue():
            return protection.tend(config, state, event, instrument)
        case LateFound():
            return late.find_late(config, state, event, instrument)
        case OutcomeArrived() if event.order.type is OrderType.MARKET:
            return settlement.settle(config, state, event, instrument)
        case OutcomeArrived():
            return protection.settle(config, state, event, instrument)
        case _ as never:
            assert_never(never)


def _note(
    config: BotConfig,
    state: BotState,
    failure: Disturbed | Recovered | Crashed,
    instrument: Instrument | None,
) -> Decision:
    match failure:
        case Disturbed():
            return lifecycle.disturb(state, failure)
        case Recovered():
            return lifecycle.recover(config, state, failure, instrument)
        case Crashed():
            return lifecycle.quarantine(state, failure)
        case _ as never:
            assert_never(never)
