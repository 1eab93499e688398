"""Candles and the walk of the price inside a minute."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botwarden.exchange.paper.bars import (
    INTERVAL_MS,
    Bar,
    grow,
    join,
    merge,
    opening,
    points_per_minute,
    walk,
)

TICK, STEP = 100, 1000


@st.composite
def bars(draw: st.DrawFn) -> Bar:
    """Any minute whose prices lie on the grid."""
    low, *middle, high = sorted(draw(st.lists(st.integers(1, 10**6), min_size=4, max_size=4)))
    opened, closed = draw(st.permutations(middle))
    volume = draw(st.integers(0, 10**15))
    return Bar(
        draw(st.integers(0, 10**6)) * 60_000,
        opened * TICK, high * TICK, low * TICK, closed * TICK,
        volume, volume * 3, draw(st.integers(0, 5000)), volume // 2, volume // 3,
    )  # fmt: skip


@given(bars(), st.integers(4, 200))
def test_a_walk_makes_its_candle(bar: Bar, count: int) -> None:
    """Put together, the points of a minute are exactly that minute's candle."""
    live = None
    for point in walk(bar, count=count, tick=TICK, step=STEP, salt="s"):
        live = grow(live, bar, point)
    if bar.volume:
        assert live == bar
    else:
        assert live is not None
        assert live[:6] == bar[:6]


@given(bars(), st.integers(4, 200))
def test_a_walk_goes_to_the_nearer_extreme_first(bar: Bar, count: int) -> None:
    """Open first, then the nearer of low and high, then the other one, and close last."""
    prices = [point.price for point in walk(bar, count=count, tick=TICK, step=STEP, salt="s")]
    near, far = (bar.low, bar.high) if bar.open - bar.low <= bar.high - bar.open else (bar.high, bar.low)
    last = count - 1
    assert (prices[0], prices[last // 3], prices[2 * last // 3], prices[last]) == (
        bar.open,
        near,
        far,
        bar.close,
    )
    assert all(bar.low <= price <= bar.high for price in prices)
    assert len(prices) == count


@given(bars(), st.integers(4, 100))
def test_a_walk_is_spread_over_the_minute(bar: Bar, count: int) -> None:
    """Points are in order, the first at the beginning, all before the end, and share the whole volume."""
    points = walk(bar, count=count, tick=TICK, step=STEP, salt="s")
    offsets = [point.offset_ms for point in points]
    assert offsets == sorted(set(offsets))
    assert offsets[0] == 0
    assert offsets[-1] < 60_000
    assert sum(point.quantity for point in points) == bar.volume
    assert points == walk(bar, count=count, tick=TICK, step=STEP, salt="s")


@pytest.mark.parametrize(
    ("speed", "count"), [(1, 60), (10, 6), (15, 4), (60, 4), (10_000, 4), (0.5, 120), (0.001, 6000)]
)
def test_points_per_minute(speed: float, count: int) -> None:
    """One price a second of the wall clock, but never fewer than four a minute."""
    assert points_per_minute(speed) == count


@given(st.sampled_from(sorted(INTERVAL_MS)), st.integers(0, 4 * 10**12))
def test_openings(interval: str, moment: int) -> None:
    """A moment lies in the bar whose opening is its own opening."""
    opened = opening(interval, moment)
    assert opened <= moment < opened + INTERVAL_MS[interval] or opened <= 4 * 86_400_000
    assert opening(interval, opened) == opened or opened < 0


def test_weeks_begin_on_monday() -> None:
    """2024-01-01 was a Monday."""
    assert opening("1w", 1_704_067_200_000 + 3 * 86_400_000) == 1_704_067_200_000


@given(st.lists(bars(), min_size=1, max_size=20))
def test_merging_is_joining_one_by_one(parts: list[Bar]) -> None:
    """A long candle is its minutes joined in order; no minutes make no candle."""
    joined = parts[0]
    for part in parts[1:]:
        joined = join(joined, part)
    assert merge(parts[0].opened_ms, parts) == joined
    assert merge(0, []) is None
