"""Whether a bot's configuration makes sense: the rules that are about trading, not about JSON types.

Every broken rule is named by its field, all of them at once.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from botwarden.errors import FieldError, Invalid
from botwarden.trading.candles import INTERVAL_SECONDS
from botwarden.trading.instruments import Instrument
from botwarden.trading.strategies.registry import STRATEGIES

#: Amounts keep within these bounds, so that every sum of them is exact.
_LARGEST = Decimal("1E15")
_DECIMALS = 18

_LONGEST_INTERVAL_S = 86_400
_LONGEST_NAME = 100
#: What ends a line, or moves the cursor of whoever reads it in a terminal or a log.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_MOST_TRADES = 2_147_483_647


def config_errors(fields: Mapping[str, Any], *, instrument: Instrument | None) -> list[FieldError]:
    """Return every rule that a configuration breaks; empty when it is sound.

    `fields` are named as in `BotConfig` and already of its types; a field that is missing counts as None.
    `instrument` is what the venue says about the symbol, None when it does not know it.
    """
    return [
        *_naming_errors(fields),
        *_instrument_errors(fields, instrument),
        *_strategy_errors(fields),
        *_size_errors(fields),
        *_guard_errors(fields),
        *_limit_errors(fields),
    ]


def name_errors(field: str, name: str) -> Iterator[FieldError]:
    """Yield what is wrong with a name that somebody gives to a thing of theirs."""
    if not 1 <= len(name) <= _LONGEST_NAME or not name.strip():
        yield FieldError(field, f"must be 1 to {_LONGEST_NAME} characters")
    elif _CONTROL.search(name):
        yield FieldError(field, "must be one line, without control characters")


def _naming_errors(fields: Mapping[str, Any]) -> Iterator[FieldError]:
    yield from name_errors("name", fields.get("name") or "")
    timeframe = fields.get("timeframe")
    if timeframe not in INTERVAL_SECONDS:
        yield FieldError("timeframe", f"must be one of {', '.join(INTERVAL_SECONDS)}")
    interval = fields.get("check_interval_seconds")
    if interval is None or not 1 <= interval <= _LONGEST_INTERVAL_S:
        yield FieldError("check_interval_seconds", f"must be from 1 to {_LONGEST_INTERVAL_S}")


def _instrument_errors(fields: Mapping[str, Any], instrument: Instrument | None) -> Iterator[FieldError]:
    if instrument is None or instrument.symbol != fields.get("symbol"):
        yield FieldError("symbol", "is not known to the venue")


def _strategy_errors(fields: Mapping[str, Any]) -> Iterator[FieldError]:
    strategy = STRATEGIES.get(fields.get("strategy") or "")
    if strategy is None:
        yield FieldError("strategy", f"must be one of {', '.join(sorted(STRATEGIES))}")
        return
    try:
        strategy.check(fields.get("strategy_params") or {})
    except Invalid as invalid:
        yield from invalid.errors


def _size_errors(fields: Mapping[str, Any]) -> Iterator[FieldError]:
    fixed, percent = fields.get("position_size_fixed"), fields.get("position_size_perc")
    yield from _amount_errors("initial_capital", fields.get("initial_capital"), optional=False)
    yield from _amount_errors("position_size_fixed", fixed)
    yield from _amount_errors("position_size_perc", percent, most=Decimal(100))
    if (fixed is None) == (percent is None):
        message = "set exactly one of position_size_fixed and position_size_perc"
        yield FieldError("position_size_fixed", message)
        yield FieldError("position_size_perc", message)


def _guard_errors(fields: Mapping[str, Any]) -> Iterator[FieldError]:
    hundred = Decimal(100)
    trailing = fields.get("trailing_stop_perc")
    yield from _amount_errors("stop_loss_perc", fields.get("stop_loss_perc"), below=hundred, optional=False)
    take_profit = fields.get("take_profit_perc")
    yield from _amount_errors("take_profit_perc", take_profit, most=Decimal(1000), optional=False)
    yield from _amount_errors("trailing_stop_perc", trailing, below=hundred)
    if fields.get("trailing_stop_active") and trailing is None:
        yield FieldError("trailing_stop_perc", "is needed while trailing_stop_active is set")


def _limit_errors(fields: Mapping[str, Any]) -> Iterator[FieldError]:
    trades = fields.get("max_daily_trades")
    if trades is not None and not 1 <= trades <= _MOST_TRADES:
        yield FieldError("max_daily_trades", "must be a whole number above 0")
    yield from _amount_errors("max_daily_loss_perc", fields.get("max_daily_loss_perc"), most=Decimal(100))
    yield from _amount_errors("daily_target_perc", fields.get("daily_target_perc"))


def _amount_errors(
    field: str,
    amount: Decimal | None,
    *,
    most: Decimal | None = None,
    below: Decimal | None = None,
    optional: bool = True,
) -> Iterator[FieldError]:
    """Yield what is wrong with an amount that has to be above zero."""
    if amount is None:
        if not optional:
            yield FieldError(field, "is required")
    elif not amount.is_finite() or amount <= 0:
        yield FieldError(field, "must be a finite number above 0")
    elif most is not None and amount > most:
        yield FieldError(field, f"must be at most {most}")
    elif below is not None and amount >= below:
        yield FieldError(field, f"must be below {below}")
    elif amount >= _LARGEST or -_exponent(amount) > _DECIMALS:
        yield FieldError(field, f"must be below {_LARGEST:f} and have at most {_DECIMALS} decimals")


def _exponent(amount: Decimal) -> int:
    """Return the exponent of the last digit that is not zero."""
    exponent = amount.normalize().as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0
