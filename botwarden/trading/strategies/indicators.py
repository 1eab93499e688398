"""Indicators over closing prices, one value at a time, in constant memory.

Thin wrappers over talipp, which keeps every value it has ever seen unless it is told to forget. Floats
are right here: an indicator is an opinion about prices, never an amount of money.

Source: J. Welles Wilder, New Concepts in Technical Trading Systems (RSI); EMA with 2 / (period + 1).
"""

from talipp.indicators import EMA, RSI

#: Values are forgotten in slices of this many.
_SLICE = 256


class Ema:
    """Exponential moving average, begun with the plain average of the first `period` values."""

    def __init__(self, period: int) -> None:
        self._ema = EMA(period)
        self._kept = period + 2

    def advance(self, value: float) -> float | None:
        """Take the next value; None until there are enough."""
        self._ema.add(value)
        _forget(self._ema, self._kept)
        result: float | None = self._ema[-1]
        return result


class Rsi:
    """Relative strength index with Wilder's smoothing: 0 to 100."""

    def __init__(self, period: int) -> None:
        self._rsi = RSI(period)
        self._kept = period + 2

    def advance(self, value: float) -> float | None:
        """Take the next value; None until there are enough."""
        self._rsi.add(value)
        _forget(self._rsi, self._kept)
        result: float | None = self._rsi[-1]
        return result


def _forget(indicator: EMA | RSI, kept: int) -> None:
    spare = len(indicator) - kept
    if spare >= _SLICE:
        indicator.purge_oldest(spare)
