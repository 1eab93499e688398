"""A strategy that never says anything: for positions that a guard shall watch, and for trying things out."""

from collections.abc import Mapping
from typing import Any

from botwarden.trading.candles import Candle
from botwarden.trading.decisions import Signal
from botwarden.trading.strategies.parameters import checked, schema


class SimpleStrategy:
    """Always holds."""

    name = "simple"
    description = (
        "Never buys or sells by itself; stop-loss, take-profit and trailing stop still guard a position."
    )
    parameters = schema()

    def check(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return no parameters: there are none."""
        return checked(self.parameters, params)

    def source(self, params: Mapping[str, Any]) -> "SimpleSource":
        """Return a source that holds."""
        self.check(params)
        return SimpleSource()


class SimpleSource:
    """Holds, whatever closes."""

    warm_up = 0

    def advance(self, candle: Candle) -> Signal:  # noqa: ARG002 - the signature of all sources
        """Hold."""
        return Signal.HOLD
