"""Crossing averages with a look at momentum.

BUY when the fast EMA of closing prices crosses above the slow one and the RSI is not overbought; SELL
when it crosses below and the RSI is not oversold. A word is said only on the candle of the crossing.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from botwarden.errors import Invalid
from botwarden.trading.candles import Candle
from botwarden.trading.decisions import Signal
from botwarden.trading.strategies.indicators import Ema, Rsi
from botwarden.trading.strategies.parameters import checked, field_error, real, schema, whole

#: Averages that differ by less than this part are equal: the rest is the noise of floats.
_NOISE = 1e-9


class EmaStrategy:
    """EMA crossing with RSI bounds."""

    name = "ema"
    description = (
        "Buys when the fast EMA crosses above the slow one while the RSI is below its overbought bound, "
        "and sells when it crosses below while the RSI is above its oversold bound."
    )
    parameters = schema(
        fast=whole("Period of the fast average, in candles; below `slow`.", default=9, least=1, most=199),
        slow=whole("Period of the slow average, in candles.", default=21, least=2, most=200),
        rsi_period=whole("Period of the RSI, in candles.", default=14, least=2, most=100),
        rsi_oversold=real("No SELL at or below this RSI.", default=30, least=0, most=100),
        rsi_overbought=real("No BUY at or above this RSI.", default=70, least=0, most=100),
    )

    def check(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters with defaults filled in; raises `Invalid` naming each bad one."""
        values = checked(self.parameters, params)
        errors = []
        if values["fast"] >= values["slow"]:
            errors.append(field_error("fast", "must be below slow"))
        if values["rsi_oversold"] >= values["rsi_overbought"]:
            errors.append(field_error("rsi_oversold", "must be below rsi_overbought"))
        if errors:
            raise Invalid(*errors)
        return values

    def source(self, params: Mapping[str, Any]) -> "EmaSource":
        """Return a new source with these parameters."""
        return EmaSource(**self.check(params))


class EmaSource:
    """One computation of the crossing."""

    def __init__(
        self, *, fast: int, slow: int, rsi_period: int, rsi_oversold: float, rsi_overbought: float
    ) -> None:
        #: After this many candles less than 1 % of the oldest price is left in any of the averages.
        self.warm_up = max(4 * slow, 5 * rsi_period) + 1
        self._fast = Ema(fast)
        self._slow = Ema(slow)
        self._rsi = Rsi(rsi_period)
        self._oversold = rsi_oversold
        self._overbought = rsi_overbought
        #: Where the fast average was last seen apart from the slow one: above (1) or below (-1); 0 while
        #: they have never been apart, None before both are there. Touching is no crossing.
        self._side: int | None = None
        self._heard: datetime | None = None

    def advance(self, candle: Candle) -> Signal:
        """Hear the next closed candle; one that is not newer than the last is passed over with HOLD."""
        if self._heard is not None and candle.opened_at <= self._heard:
            return Signal.HOLD
        self._heard = candle.opened_at
        close = float(candle.close)
        fast, slow, rsi = self._fast.advance(close), self._slow.advance(close), self._rsi.advance(close)
        if fast is None or slow is None:
            return Signal.HOLD
        before, side = self._side, _side(fast, slow)
        if before is None or side != 0:
            self._side = side
        if before is None or rsi is None:
            return Signal.HOLD
        if before <= 0 < side and rsi < self._overbought:
            return Signal.BUY
        if before >= 0 > side and rsi > self._oversold:
            return Signal.SELL
        return Signal.HOLD


def _side(fast: float, slow: float) -> int:
    difference = fast - slow
    if abs(difference) <= _NOISE * abs(slow):
        return 0
    return 1 if difference > 0 else -1
