"""A market out of a seed: prices walk at random around a home price, for ever and in both directions.

The candle of minute k of a symbol is a pure function of (seed, symbol, k); no state, no history to keep.
Prices at midnights come from a random walk refined by halving (so that any day can be asked for at once),
the minutes of a day bridge from one midnight to the next with calm and wild hours.
"""

import hashlib
import math
import random
import threading
from collections.abc import Mapping

from botwarden.exchange.paper.amounts import UNIT
from botwarden.exchange.paper.bars import Bar
from botwarden.exchange.paper.instruments import PaperInstrument
from botwarden.exchange.paper.times import DAY_MS, MINUTE_MS

#: Where a market with a given seed begins: 2026-01-01 00:00 UTC.
ORIGIN_MS = 1_767_225_600_000
HISTORY_DAYS = 210

MINUTES = 1440
#: The walk returns towards the home price between blocks of so many days.
BLOCK_DAYS = 512
_HOME_SPREAD = 0.25

#: A day takes about half a megabyte.
_DAYS_KEPT = 48


def midnight_log(seed: int, symbol: str, day: int, volatility: float) -> float:
    """Return the logarithm of (price at this day's midnight / home price). `day`: since 1970."""
    low = day - day % BLOCK_DAYS
    high = low + BLOCK_DAYS
    low_value = _HOME_SPREAD * _normal(f"{seed}/{symbol}/block/{low}")
    if day == low:
        return low_value
    high_value = _HOME_SPREAD * _normal(f"{seed}/{symbol}/block/{high}")
    daily = volatility * math.sqrt(MINUTES)
    while True:
        middle = (low + high) // 2
        shift = _normal(f"{seed}/{symbol}/day/{middle}") * daily * math.sqrt(high - low) / 2
        value = (low_value + high_value) / 2 + shift
        if middle == day:
            return value
        if day < middle:
            high, high_value = middle, value
        else:
            low, low_value = middle, value


def day_bars(seed: int, instrument: PaperInstrument, day: int) -> list[Bar]:
    """Return the 1,440 candles of one day."""
    sigma = instrument.volatility
    # Not a secret: a generator that anybody may repeat is the point.
    rng = random.Random(f"{seed}/{instrument.symbol}/{day}")  # noqa: S311 - see above
    heat = _heat(rng)
    path = _bridge(
        rng,
        midnight_log(seed, instrument.symbol, day, sigma),
        midnight_log(seed, instrument.symbol, day + 1, sigma),
        [sigma * warmth for warmth in heat],
    )
    tick, home = instrument.tick, instrument.home_price
    nodes = [max(1, round(home * math.exp(value) / tick)) * tick for value in path]
    per_minute = instrument.daily_quote / MINUTES
    bars = []
    for minute in range(MINUTES):
        opened, closed = nodes[minute], nodes[minute + 1]
        wick = sigma * heat[minute] * 0.5
        high = _outside(max(opened, closed), wick * abs(_bell(rng)), tick)
        low = max(tick, _inside(min(opened, closed), wick * abs(_bell(rng)), tick))
        quote = per_minute * heat[minute] * math.exp(0.6 * _bell(rng) - 0.18)
        step = instrument.step
        volume = max(8, int(quote * UNIT / closed * UNIT) // step) * step
        taker = int(volume * (0.35 + 0.3 * rng.random())) // step * step
        middle = (opened + high + low + closed) // 4
        bars.append(
            Bar(
                day * DAY_MS + minute * MINUTE_MS,
                opened,
                high,
                low,
                closed,
                volume,
                volume * middle // UNIT,
                8 + int(300 * heat[minute] * rng.random()),
                taker,
                taker * middle // UNIT,
            )
        )
    return bars


class SyntheticSource:
    """A `Source` out of a seed."""

    def __init__(self, seed: int, instruments: Mapping[str, PaperInstrument], *, start_ms: int) -> None:
        self.identity = f"synthetic seed={seed} start={start_ms}"
        self.instruments = instruments
        self.start_ms = start_ms - start_ms % MINUTE_MS
        self.first_ms = self.start_ms - self.start_ms % DAY_MS - HISTORY_DAYS * DAY_MS
        self._seed = seed
        self._days: dict[tuple[str, int], list[Bar]] = {}
        #: Candles are asked for from the loop and from worker threads.
        self._keeping = threading.Lock()

    def minutes(self, symbol: str, from_ms: int, until_ms: int) -> list[Bar]:
        """Return the candles that open in [from, until)."""
        found: list[Bar] = []
        moment = max(from_ms, self.first_ms)
        moment += -moment % MINUTE_MS
        while moment < until_ms:
            day, into_day = divmod(moment, DAY_MS)
            ends = min(MINUTES, -(-(until_ms - day * DAY_MS) // MINUTE_MS))
            found.extend(self._day(symbol, day)[into_day // MINUTE_MS : ends])
            moment = (day + 1) * DAY_MS
        return found

    def next_minute(self, from_ms: int) -> int | None:
        """Return the next full minute: this market never rests."""
        return from_ms + -from_ms % MINUTE_MS

    def _day(self, symbol: str, day: int) -> list[Bar]:
        key = (symbol, day)
        bars = self._days.get(key)
        if bars is None:
            bars = day_bars(self._seed, self.instruments[symbol], day)
            with self._keeping:
                self._days[key] = bars
                if len(self._days) > _DAYS_KEPT:
                    del self._days[next(iter(self._days))]
        return bars


def _normal(key: str) -> float:
    """Return a number of the standard normal distribution, near enough, that only the key decides."""
    digest = hashlib.blake2b(key.encode(), digest_size=24).digest()
    total = sum(int.from_bytes(digest[place : place + 2], "big") for place in range(0, 24, 2))
    return total / 65536 - 6.0


def _bell(rng: random.Random) -> float:
    roll = rng.random
    return (roll() + roll() + roll() + roll() - 2.0) * math.sqrt(3)


def _heat(rng: random.Random) -> list[float]:
    """Return how wild each minute is: around 1, slowly changing, with rare bursts."""
    level, burst = 0.4 * _bell(rng), 0.0
    heat = []
    for _ in range(MINUTES):
        level = 0.985 * level + 0.07 * _bell(rng)
        burst = burst * 0.9 + (1.6 if rng.random() < 0.002 else 0.0)
        heat.append(math.exp(level - 0.08) + burst)
    return heat


def _bridge(rng: random.Random, start: float, end: float, steps: list[float]) -> list[float]:
    """Return a random walk from start to end with steps of these sizes; one value more than steps."""
    total, walk = 0.0, [0.0]
    for step in steps:
        total += step * _bell(rng)
        walk.append(total)
    # The error is spread by the variance of the steps, so that calm minutes stay calm.
    variance = sum(step * step for step in steps)
    missing, seen, path = end - start - total, 0.0, [start]
    for step, value in zip(steps, walk[1:], strict=True):
        seen += step * step
        path.append(start + value + missing * (seen / variance))
    path[-1] = end
    return path


def _outside(price: int, share: float, tick: int) -> int:
    return price + round(price * share / tick) * tick


def _inside(price: int, share: float, tick: int) -> int:
    return price - round(price * share / tick) * tick
