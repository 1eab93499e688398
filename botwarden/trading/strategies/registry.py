"""Every strategy that a bot can name."""

from collections.abc import Mapping
from types import MappingProxyType

from botwarden.trading.strategies.ema import EmaStrategy
from botwarden.trading.strategies.simple import SimpleStrategy
from botwarden.trading.strategies.source import Strategy

_ALL: tuple[Strategy, ...] = (EmaStrategy(), SimpleStrategy())

#: By name.
STRATEGIES: Mapping[str, Strategy] = MappingProxyType({strategy.name: strategy for strategy in _ALL})
