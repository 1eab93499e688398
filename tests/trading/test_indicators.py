"""Indicators against values computed another way."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botwarden.trading.strategies.indicators import Ema, Rsi

PRICES = st.lists(st.decimals(min_value=1, max_value=1000, places=2).map(Fraction), min_size=1, max_size=120)


def exact_ema(prices: list[Fraction], period: int) -> Fraction | None:
    """The definition in exact fractions: the plain average first, then 2 / (period + 1) of the news."""
    if len(prices) < period:
        return None
    average = sum(prices[:period]) / period
    for price in prices[period:]:
        average += Fraction(2, period + 1) * (price - average)
    return average


def exact_rsi(prices: list[Fraction], period: int) -> Fraction | None:
    """Wilder's definition in exact fractions."""
    if len(prices) <= period:
        return None
    changes = [after - before for before, after in pairwise(prices)]
    gains, losses = [max(change, 0) for change in changes], [max(-change, 0) for change in changes]
    gain, loss = Fraction(sum(gains[:period])) / period, Fraction(sum(losses[:period])) / period
    for up, down in zip(gains[period:], losses[period:], strict=True):
        gain, loss = (gain * (period - 1) + up) / period, (loss * (period - 1) + down) / period
    return Fraction(100) if loss == 0 else 100 - 100 / (1 + gain / loss)


@settings(deadline=None)
@given(PRICES, st.integers(1, 30))
def test_ema_is_what_its_definition_says(prices: list[Fraction], period: int) -> None:
    """Value by value the incremental average equals the exact one."""
    ema = Ema(period)
    given_values = [ema.advance(float(price)) for price in prices]
    assert given_values[: period - 1] == [None] * min(period - 1, len(prices))
    expected = exact_ema(prices, period)
    assert given_values[-1] == (None if expected is None else pytest.approx(float(expected), rel=1e-9))


@settings(deadline=None)
@given(PRICES, st.integers(2, 30))
def test_rsi_is_what_its_definition_says(prices: list[Fraction], period: int) -> None:
    """Value by value the incremental index equals the exact one."""
    rsi = Rsi(period)
    value = [rsi.advance(float(price)) for price in prices][-1]
    expected = exact_rsi(prices, period)
    assert value == (None if expected is None else pytest.approx(float(expected), rel=1e-6, abs=1e-6))


def test_indicators_forget_without_changing_their_minds() -> None:
    """Over thousands of values the results stay exact and memory stays bounded."""
    ema, rsi = Ema(21), Rsi(14)
    prices = [Fraction(100 + (step * 7919) % 97 - (step * 104729) % 89) for step in range(3000)]
    for price in prices:
        average, index = ema.advance(float(price)), rsi.advance(float(price))
    assert average == pytest.approx(float(exact_ema_tail(prices, 21)), rel=1e-9)
    assert index == pytest.approx(float_rsi(prices, 14), rel=1e-9)
    for inner in (ema._ema, rsi._rsi):
        assert len(inner.input_values) < 400
        assert len(inner.output_values) < 400
    assert len(rsi._rsi.avg_gain) < 400


def exact_ema_tail(prices: list[Fraction], period: int) -> float:
    """Exact enough: what is older than 40 periods has no weight that a float could show."""
    value = exact_ema(prices[-40 * period :], period)
    assert value is not None
    return float(value)


def float_rsi(prices: list[Fraction], period: int) -> float:
    """The same definition in floats: fractions of 3,000 steps grow too long."""
    changes = [float(after - before) for before, after in pairwise(prices)]
    gain = sum(max(change, 0.0) for change in changes[:period]) / period
    loss = sum(max(-change, 0.0) for change in changes[:period]) / period
    for change in changes[period:]:
        gain = (gain * (period - 1) + max(change, 0.0)) / period
        loss = (loss * (period - 1) + max(-change, 0.0)) / period
    return 100 - 100 / (1 + gain / loss)


def test_wilders_published_example() -> None:
    """The worked example that is repeated everywhere: 70.46 after fifteen closes, then 66.25."""
    closes = [
        44.34, 44.09, 44.15, 43.61, 44.33, 44.83, 45.10, 45.42, 45.84, 46.08, 45.89, 46.03, 45.61, 46.28,
        46.28, 46.00,
    ]  # fmt: skip
    rsi = Rsi(14)
    values = [rsi.advance(close) for close in closes]
    assert values[13] is None
    assert values[14] == pytest.approx(70.46, abs=0.01)
    assert values[15] == pytest.approx(66.25, abs=0.01)
