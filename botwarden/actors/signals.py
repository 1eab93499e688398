"""What the strategies say about one symbol and interval, computed once for all bots that ask alike.

A source hears every closed candle exactly once and in order; a gap is filled from the venue before the
next candle is heard. Only what is said about the newest candle is a signal: the past is history. A source
that crashes ends for its own listeners, and for nobody else.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from botwarden.exchange.port import Market
from botwarden.trading.bot import BotConfig, BotId
from botwarden.trading.candles import INTERVAL_SECONDS, Candle
from botwarden.trading.machine import Signal
from botwarden.trading.strategies.registry import STRATEGIES
from botwarden.trading.strategies.source import SignalSource

#: The most candles that a venue gives in one answer. Source: Binance spot API, klines, limit.
MOST_CANDLES = 1000


class SignalKey(msgspec.Struct, frozen=True, kw_only=True):
    """Bots with the same key share one computation."""

    interval: str
    strategy: str
    #: Canonical JSON of the parameters.
    params: bytes

    @staticmethod
    def of(config: BotConfig) -> "SignalKey":
        """Return the key of a bot's strategy."""
        params = msgspec.json.encode(config.strategy_params, order="deterministic")
        return SignalKey(interval=config.timeframe, strategy=config.strategy, params=params)


class StrategyCrashedError(Exception):
    """The code of a strategy has failed."""


class Spoken(NamedTuple):
    """What was said about a candle."""

    signals: list[tuple[BotId, Signal]]
    #: Bots whose strategy crashed over it, and how; they are not listening any more.
    failures: list[tuple[BotId, str]]


@dataclass(slots=True)
class _Line:
    """One computation and who listens to it."""

    source: SignalSource
    heard_until: datetime | None = None
    bots: set[BotId] = field(default_factory=set)

    def hear(self, candle: Candle) -> Signal | None:
        if self.heard_until is not None and candle.opened_at <= self.heard_until:
            return None
        self.heard_until = candle.opened_at
        try:
            return self.source.advance(candle)
        except Exception as crash:
            raise StrategyCrashedError(_told(crash)) from crash


class SignalSeries:
    """All computations on one symbol and interval."""

    def __init__(self, market: Market, symbol: str, interval: str) -> None:
        self._market = market
        self._symbol = symbol
        self._interval = interval
        self._length = timedelta(seconds=INTERVAL_SECONDS[interval])
        self._lines: dict[SignalKey, _Line] = {}
        self._key_of: dict[BotId, SignalKey] = {}

    def hears(self, bot_id: BotId, key: SignalKey) -> bool:
        """Return whether the bot listens, and to this."""
        return self._key_of.get(bot_id) == key

    async def add(self, bot_id: BotId, key: SignalKey) -> None:
        """Let the bot listen.

        Raises:
            Unavailable, Missing: there is no history to warm up with.
            StrategyCrashedError: the strategy fails over its parameters or over history.
        """
        if self._key_of.get(bot_id) != key:
            self.drop(bot_id)
        line = self._lines.get(key)
        if line is None:
            line = await self._warm(key)
            self._lines[key] = line
        line.bots.add(bot_id)
        self._key_of[bot_id] = key

    def drop(self, bot_id: BotId) -> None:
        """Let the bot listen no longer; a computation without listeners ends."""
        key = self._key_of.pop(bot_id, None)
        if key is not None:
            line = self._lines[key]
            line.bots.discard(bot_id)
            if not line.bots:
                del self._lines[key]

    async def advance(self, candle: Candle) -> Spoken:
        """Hear a closed candle. Raises `Unavailable` when candles are missing before it."""
        failures: list[tuple[BotId, str]] = []
        if any(self._misses(line, candle) for line in self._lines.values()):
            failures = await self._fill(before=candle.opened_at)
        spoken = self._hear(candle)
        return Spoken(spoken.signals, failures + spoken.failures)

    async def catch_up(self) -> tuple[Candle | None, Spoken]:
        """Hear what has closed meanwhile, as the venue lists it; return the newest candle and its signals.

        Raises:
            Unavailable: the venue does not answer.
        """
        spoken, failures = Spoken([], []), []
        newest: Candle | None = None
        if self._lines:
            for newest in await self._market.candles(self._symbol, self._interval, limit=MOST_CANDLES):
                spoken = self._hear(newest)
                failures.extend(spoken.failures)
        return newest, Spoken(spoken.signals, failures)

    async def _warm(self, key: SignalKey) -> _Line:
        try:
            source = STRATEGIES[key.strategy].source(msgspec.json.decode(key.params))
            limit = min(max(source.warm_up, 2), MOST_CANDLES)
        except Exception as crash:
            raise StrategyCrashedError(_told(crash)) from crash
        line = _Line(source)
        for candle in await self._market.candles(self._symbol, self._interval, limit=limit):
            line.hear(candle)
        return line

    def _misses(self, line: _Line, candle: Candle) -> bool:
        return line.heard_until is not None and candle.opened_at > line.heard_until + self._length

    async def _fill(self, *, before: datetime) -> list[tuple[BotId, str]]:
        failures: list[tuple[BotId, str]] = []
        for candle in await self._market.candles(self._symbol, self._interval, limit=MOST_CANDLES):
            if candle.opened_at < before:
                failures.extend(self._hear(candle).failures)
        return failures

    def _hear(self, candle: Candle) -> Spoken:
        spoken = Spoken([], [])
        for line in list(self._lines.values()):
            try:
                signal = line.hear(candle)
            except StrategyCrashedError as crashed:
                for bot_id in list(line.bots):
                    spoken.failures.append((bot_id, str(crashed)))
                    self.drop(bot_id)
                continue
            if signal is not None:
                spoken.signals.extend((bot_id, signal) for bot_id in line.bots)
        return spoken


def _told(crash: Exception) -> str:
    return f"{type(crash).__name__}: {crash}"
