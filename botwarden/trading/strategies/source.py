"""The one signature of all strategies.

A source hears closed candles in order and says one word about each; equal parameters and equal candles
give equal words, so that all bots which ask alike share one source.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from botwarden.trading.candles import Candle
from botwarden.trading.decisions import Signal


class SignalSource(Protocol):
    """One incremental computation."""

    #: How many closed candles it has to hear before its word is worth anything.
    warm_up: int

    def advance(self, candle: Candle) -> Signal:
        """Hear the next closed candle; one that is not newer than the last is passed over with HOLD."""
        ...


class Strategy(Protocol):
    """A kind of source, with its parameters."""

    name: str
    description: str
    #: JSON Schema of the parameters, with their defaults.
    parameters: Mapping[str, Any]

    def check(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters with defaults filled in; they hold only what JSON can say.

        Raises:
            Invalid: naming each bad one as `strategy_params.<name>`.
        """
        ...

    def source(self, params: Mapping[str, Any]) -> SignalSource:
        """Return a new source. Raises `Invalid` as `check` does."""
        ...
