"""The owner's PUT of the state: patch semantics, every rule of the contract in one place.

Either all given fields are taken or none; a field that is not given keeps its value, except that what
a changed position entails (its cost, and everything of a position that is given up) follows it.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from botwarden.errors import FieldError, Invalid, Refused
from botwarden.trading.bot import BotState, Cause, Status
from botwarden.trading.commands import started_state, stopped_state
from botwarden.trading.decisions import Decision, StatePut
from botwarden.trading.exits import flat
from botwarden.trading.money import BOOKS

#: Fields of the state that nobody may write.
READ_ONLY = frozenset(
    {"id", "version", "last_updated_at", "last_run_at", "halted_by", "unwatched_position", "protection"}
)

#: What makes up a position; may be changed only while the bot is stopped and nothing is in flight.
_POSITION = ("in_position", "entry_price", "current_position_size_coins")

_NUMBER = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?([eE][+-]?\d{1,2})?", re.ASCII)

#: Amounts keep within these bounds, so that every sum of them is exact.
_LARGEST = Decimal("1E18")
_DECIMALS = 18
_LARGEST_COUNT = 1_000_000_000
_LONGEST_MESSAGE = 2000


def put(state: BotState, event: StatePut) -> Decision:
    """Change exactly the given fields.

    Raises:
        Invalid: a field is unknown, read-only, of a wrong type or value, or contradicts another.
        Refused: the position may not be changed now.
    """
    values = _read(event.changes)
    position_changes = any(name in values and values[name] != getattr(state, name) for name in _POSITION)
    changed = _with_values(state, values, position_changes=position_changes)
    if errors := _contradictions(changed, values):
        raise Invalid(*errors)
    if position_changes and (state.is_active or state.is_expecting):
        raise Refused("the position may be changed only while the bot is stopped and no order is in flight")
    match values.get("status"):
        case Status.PENDING:
            changed = started_state(changed)
        case Status.STOPPED:
            changed = stopped_state(changed)
        case _:
            pass
    return Decision(state=changed, cause=Cause.API, kind="state.put")


def _read(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given fields as values of the domain; raises `Invalid` naming every bad one."""
    values: dict[str, Any] = {}
    errors: list[FieldError] = []
    for name, given in changes.items():
        try:
            values[name] = _reader(name)(name, given)
        except FieldError as error:
            errors.append(error)
    if errors:
        raise Invalid(*errors)
    return values


def _reader(name: str) -> Callable[[str, Any], object]:
    if name in READ_ONLY:
        raise FieldError(name, "is set by the system and cannot be written")
    reader = _READERS.get(name)
    if reader is None:
        raise FieldError(name, "there is no such field")
    return reader


def _flag(name: str, given: object) -> bool:
    if not isinstance(given, bool):
        raise FieldError(name, "must be true or false")
    return given


def _number(name: str, given: object) -> Decimal:
    """Read an exact decimal: a JSON number, or a string that holds one."""
    if isinstance(given, str) and _NUMBER.fullmatch(given):
        given = Decimal(given)
    if isinstance(given, bool) or not isinstance(given, (int, Decimal)):
        raise FieldError(name, "must be a number")
    number = Decimal(given)
    if not number.is_finite():
        raise FieldError(name, "must be finite")
    if number.copy_abs() >= _LARGEST:
        raise FieldError(name, "is too large")
    if number != number.quantize(Decimal(1).scaleb(-_DECIMALS), context=BOOKS):
        raise FieldError(name, f"has more than {_DECIMALS} decimals")
    return number


def _amount(name: str, given: object) -> Decimal:
    number = _number(name, given)
    if number < 0:
        raise FieldError(name, "must not be negative")
    return number


def _optional_amount(name: str, given: object) -> Decimal | None:
    return None if given is None else _amount(name, given)


def _count(name: str, given: object) -> int:
    number = _amount(name, given)
    if number != int(number) or number > _LARGEST_COUNT:
        raise FieldError(name, "must be a whole number")
    return int(number)


def _optional_text(name: str, given: object) -> str | None:
    if given is None:
        return None
    if not isinstance(given, str) or len(given) > _LONGEST_MESSAGE or "\0" in given:
        raise FieldError(name, f"must be a text of at most {_LONGEST_MESSAGE} characters, or null")
    return given


def _status(name: str, given: object) -> Status:
    if given == Status.STOPPED:
        return Status.STOPPED
    if given == Status.PENDING:
        return Status.PENDING
    raise FieldError(name, "may be set to stopped (as stop) and pending (as start) only")


_READERS: Mapping[str, Callable[[str, Any], object]] = {
    "status": _status,
    "in_position": _flag,
    "entry_price": _optional_amount,
    "current_position_size_coins": _amount,
    "trailing_stop_price": _optional_amount,
    "max_price_since_entry": _optional_amount,
    "take_profit_price": _optional_amount,
    "stop_loss_price": _optional_amount,
    "daily_pnl": _number,
    "daily_trades_count": _count,
    "last_error_message": _optional_text,
}

#: Everything that a PUT may write.
WRITABLE = frozenset(_READERS)


def _with_values(state: BotState, values: Mapping[str, Any], *, position_changes: bool) -> BotState:
    fields = {name: value for name, value in values.items() if name != "status"}
    gives_up = state.in_position and fields.get("in_position") is False
    changed = replace(flat(state) if gives_up else state, **fields)
    if gives_up:
        return replace(changed, close_requested_at=None)
    if position_changes and changed.in_position and changed.entry_price is not None:
        cost = BOOKS.multiply(changed.current_position_size_coins, changed.entry_price)
        return replace(changed, position_cost_quote=cost)
    return changed


def _contradictions(state: BotState, values: Mapping[str, Any]) -> list[FieldError]:
    return [*_position_errors(state, values), *_threshold_errors(state, values)]


def _position_errors(state: BotState, values: Mapping[str, Any]) -> list[FieldError]:
    if not any(name in values for name in _POSITION):
        return []
    size, entry = state.current_position_size_coins, state.entry_price
    errors: list[FieldError] = []
    if state.in_position:
        if size == 0:
            errors.append(FieldError("current_position_size_coins", "must be above zero in a position"))
        if not entry:
            errors.append(FieldError("entry_price", "must be above zero in a position"))
        if errors and "in_position" in values:
            errors.append(FieldError("in_position", "needs a size and an entry price"))
        return errors
    if size > 0:
        errors.append(FieldError("current_position_size_coins", "must be zero without a position"))
    if entry is not None:
        errors.append(FieldError("entry_price", "must be null without a position"))
    return errors


def _threshold_errors(state: BotState, values: Mapping[str, Any]) -> list[FieldError]:
    """Name every given stop that lies above the take-profit."""
    target = state.take_profit_price
    if target is None:
        return []
    errors: list[FieldError] = []
    for name in ("stop_loss_price", "trailing_stop_price"):
        stop = getattr(state, name)
        if stop is None or stop <= target:
            continue
        if name in values:
            errors.append(FieldError(name, "is above the take-profit price"))
        if "take_profit_price" in values:
            errors.append(FieldError("take_profit_price", f"is below the {name}"))
    return errors
