"""The synthetic market repeats exactly."""

import math
import statistics
from itertools import pairwise

from botwarden.exchange.paper.bars import Bar
from botwarden.exchange.paper.instruments import default_instruments
from botwarden.exchange.paper.synthetic import ORIGIN_MS, SyntheticSource, day_bars
from botwarden.exchange.paper.times import DAY_MS, MINUTE_MS

INSTRUMENTS = default_instruments()
DAY = ORIGIN_MS // DAY_MS


def source(seed: int = 7) -> SyntheticSource:
    """A market of its own."""
    return SyntheticSource(seed, INSTRUMENTS, start_ms=ORIGIN_MS)


def test_a_candle_is_a_function_of_seed_symbol_and_minute() -> None:
    """Whatever was asked before, in whatever order, the same minute is the same candle."""
    one, other = source(), source()
    until = ORIGIN_MS + 3 * DAY_MS
    whole = one.minutes("BTCUSDT", ORIGIN_MS, until)
    moments = range(until - MINUTE_MS, ORIGIN_MS - 1, -977 * MINUTE_MS)
    assert all(
        other.minutes("BTCUSDT", at, at + 1) == [whole[(at - ORIGIN_MS) // MINUTE_MS]] for at in moments
    )


def test_known_candles() -> None:
    """The generator never changes: markets of earlier versions go on as they were."""
    assert source(1).minutes("BTCUSDT", ORIGIN_MS, ORIGIN_MS + MINUTE_MS) == [KNOWN_BTC]
    assert source(1).minutes("DOGEUSDT", ORIGIN_MS, ORIGIN_MS + MINUTE_MS) == [KNOWN_DOGE]


def test_seeds_and_symbols_differ() -> None:
    """Another seed or another symbol is another market."""
    span = (ORIGIN_MS, ORIGIN_MS + 100 * MINUTE_MS)
    closes = [bar.close for bar in source(7).minutes("BTCUSDT", *span)]
    assert closes != [bar.close for bar in source(8).minutes("BTCUSDT", *span)]
    moves = [later / earlier for earlier, later in pairwise(closes)]
    eth = [bar.close for bar in source(7).minutes("ETHUSDT", *span)]
    assert moves != [later / earlier for earlier, later in pairwise(eth)]


def test_minutes_join_without_gaps() -> None:
    """Each minute opens where the last one closed, across midnight too, on the grid, in order."""
    for name, rules in INSTRUMENTS.items():
        bars = day_bars(3, rules, DAY) + day_bars(3, rules, DAY + 1)
        assert len(bars) == 2880, name
        for earlier, later in pairwise(bars):
            assert later.opened_ms - earlier.opened_ms == MINUTE_MS
            assert later.open == earlier.close
        for bar in bars:
            assert 0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
            assert not any(price % rules.tick for price in bar[1:5])
            assert bar.volume > 0
            assert bar.volume % rules.step == 0
            assert 0 <= bar.taker_volume <= bar.volume


def test_volatility_is_that_of_the_symbol() -> None:
    """A minute moves about as much as the symbol's rules say, over a week."""
    rules = INSTRUMENTS["BTCUSDT"]
    closes = [bar.close for day in range(7) for bar in day_bars(5, rules, DAY + day)]
    moves = [math.log(later / earlier) for earlier, later in pairwise(closes)]
    assert 0.7 < statistics.pstdev(moves) / rules.volatility < 1.6


def test_prices_stay_near_home_for_years() -> None:
    """The price never runs away: after years it is still of the same order."""
    rules = INSTRUMENTS["SOLUSDT"]
    for day in range(DAY, DAY + 3000, 61):
        (bar, *_) = day_bars(11, rules, day)[:1]
        assert rules.home_price / 12 < bar.close < rules.home_price * 12


def test_there_is_enough_past() -> None:
    """A thousand candles of four hours, and two hundred days, lie behind the beginning."""
    assert source().first_ms <= ORIGIN_MS - 1000 * 240 * MINUTE_MS
    assert source().first_ms <= ORIGIN_MS - 200 * DAY_MS
    assert source().minutes("BTCUSDT", source().first_ms - 10 * MINUTE_MS, source().first_ms) == []


def test_it_never_ends() -> None:
    """There is always a next minute."""
    assert source().next_minute(ORIGIN_MS + 1) == ORIGIN_MS + MINUTE_MS
    assert source().next_minute(ORIGIN_MS) == ORIGIN_MS


KNOWN_BTC = Bar(
    1767225600000,
    7924364000000,
    7931604000000,
    7924039000000,
    7925844000000,
    3099441000,
    245676036323227,
    294,
    1451622000,
    115062277100805,
)
KNOWN_DOGE = Bar(
    1767225600000,
    11355000,
    11376000,
    11342000,
    11372000,
    222743200000000,
    25306411810000,
    121,
    113010000000000,
    12839348625000,
)
