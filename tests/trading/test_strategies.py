"""Strategies: parameters are checked by name, and words are said on crossings only."""

import math
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botwarden.errors import Invalid
from botwarden.trading.candles import Candle
from botwarden.trading.machine import Signal
from botwarden.trading.strategies.indicators import Ema, Rsi
from botwarden.trading.strategies.registry import STRATEGIES
from tests.trading.examples import NOW

DEFAULTS = {"fast": 9, "slow": 21, "rsi_period": 14, "rsi_oversold": 30, "rsi_overbought": 70}
QUICK = {"fast": 2, "slow": 4, "rsi_period": 3, "rsi_oversold": 5, "rsi_overbought": 95}


def candles(closes: list[float]) -> list[Candle]:
    return [
        Candle(
            symbol="BTCUSDT",
            interval="1m",
            opened_at=NOW + timedelta(minutes=minute),
            closed_at=NOW + timedelta(minutes=minute, seconds=59, milliseconds=999),
            open=Decimal(str(close)),
            high=Decimal(str(close)),
            low=Decimal(str(close)),
            close=Decimal(str(close)),
            volume_base=Decimal(1),
        )
        for minute, close in enumerate(closes)
    ]


def words(closes: list[float], **params: object) -> list[Signal]:
    source = STRATEGIES["ema"].source(params or QUICK)
    return [source.advance(candle) for candle in candles(closes)]


def test_every_strategy_describes_itself() -> None:
    """Name, description, schema and defaults fit together and can be said in JSON."""
    assert set(STRATEGIES) == {"ema", "simple"}
    for name, strategy in STRATEGIES.items():
        assert strategy.name == name
        assert strategy.description
        assert strategy.parameters["additionalProperties"] is False
        defaults = strategy.check({})
        assert defaults == {key: rule["default"] for key, rule in strategy.parameters["properties"].items()}
        assert msgspec.json.decode(msgspec.json.encode(defaults)) == defaults
        assert msgspec.json.encode(strategy.parameters)
        assert strategy.source({}).warm_up >= 0


def test_defaults_are_filled_in() -> None:
    """Given parameters are kept, the others get their defaults."""
    assert STRATEGIES["ema"].check({"fast": Decimal(5)}) == DEFAULTS | {"fast": 5}
    assert STRATEGIES["ema"].check({"rsi_oversold": Decimal("27.5")})["rsi_oversold"] == 27.5


@pytest.mark.parametrize(
    ("params", "fields"),
    [
        ({"period": 5}, {"period"}),
        ({"fast": 21}, {"fast"}),
        ({"fast": 30}, {"fast"}),
        ({"fast": 0}, {"fast"}),
        ({"slow": 201}, {"slow"}),
        ({"slow": True}, {"slow"}),
        ({"slow": "21"}, {"slow"}),
        ({"slow": None}, {"slow"}),
        ({"fast": Decimal("2.5")}, {"fast"}),
        ({"rsi_period": 1}, {"rsi_period"}),
        ({"rsi_oversold": float("nan")}, {"rsi_oversold"}),
        ({"rsi_overbought": Decimal("Infinity")}, {"rsi_overbought"}),
        ({"rsi_oversold": 80}, {"rsi_oversold"}),
        ({"x": 1, "fast": -1, "slow": []}, {"x", "fast", "slow"}),
    ],
)
def test_bad_parameters_are_all_named(params: dict[str, object], fields: set[str]) -> None:
    """Unknown names, wrong types, bounds and contradictions are named with their place."""
    for ask in (STRATEGIES["ema"].check, STRATEGIES["ema"].source):
        with pytest.raises(Invalid) as caught:
            ask(params)
        assert {error.field for error in caught.value.errors} == {
            f"strategy_params.{field}" for field in fields
        }


def test_simple_takes_no_parameters_and_never_speaks() -> None:
    """`simple` holds, whatever closes."""
    source = STRATEGIES["simple"].source({})
    assert {source.advance(candle) for candle in candles([1, 100, 1, 100])} == {Signal.HOLD}
    with pytest.raises(Invalid):
        STRATEGIES["simple"].check({"fast": 1})


def test_a_rise_after_a_fall_buys_once_and_a_fall_after_a_rise_sells_once() -> None:
    """One word per crossing, on the candle of the crossing."""
    falling = [100.0 - step + (step % 2) * 0.6 for step in range(12)]
    rising = [90.0 + step - (step % 2) * 0.6 for step in range(12)]
    said = words(falling + rising + falling)
    assert [word for word in said if word is not Signal.HOLD] == [Signal.BUY, Signal.SELL]
    assert said.index(Signal.BUY) in range(12, 16)
    assert said.index(Signal.SELL) in range(24, 28)


def test_an_overbought_crossing_is_passed_over() -> None:
    """A crossing with the RSI beyond its bound says nothing."""
    closes = [100.0 - step + (step % 2) * 0.6 for step in range(12)] + [90.0 + 2 * step for step in range(8)]
    assert Signal.BUY in words(closes)
    assert Signal.BUY not in words(closes, **(QUICK | {"rsi_overbought": 50}))


@pytest.mark.parametrize("price", [0.1, 64250.1, 0.00000123])
def test_a_flat_market_says_nothing(price: float) -> None:
    """The noise of floats is no crossing."""
    assert set(words([price] * 200, **DEFAULTS)) == {Signal.HOLD}


def test_touching_is_no_crossing() -> None:
    """Averages that met in a quiet market and part again to the same side have not crossed."""
    falling = [100.0 - step + (step % 2) * 0.6 for step in range(12)]
    quiet = [falling[-1]] * 120
    assert set(words(falling + quiet + [price - 12 for price in falling])) == {Signal.HOLD}
    rising = [falling[-1] + step - (step % 2) * 0.6 for step in range(12)]
    dip = [falling[-1] - 1]
    assert words(falling + quiet + dip + rising).count(Signal.BUY) == 1


def test_a_wobble_in_the_last_digits_is_no_crossing() -> None:
    """Where averages have met, a change that only floats can see says nothing."""
    closes = [110.0, 105.0, 102.0, 90.0, 101.0, 102.0, *[100.0] * 150, 100.00000000001, *[100.0] * 20]
    said = words(closes, fast=3, slow=5, rsi_period=2, rsi_oversold=0, rsi_overbought=100)
    assert set(said[100:]) == {Signal.HOLD}
    closes[156] = 101.0
    said = words(closes, fast=3, slow=5, rsi_period=2, rsi_oversold=0, rsi_overbought=100)
    assert set(said[100:]) != {Signal.HOLD}


def test_a_candle_that_is_not_newer_changes_nothing() -> None:
    """Hearing a candle twice, or one from before, is passed over and spoils nothing that follows."""
    closes = [100 + 10 * math.sin(step / 5) for step in range(120)]
    source = STRATEGIES["ema"].source(QUICK)
    said = []
    for number, candle in enumerate(candles(closes)):
        said.append(source.advance(candle))
        assert source.advance(candle) is Signal.HOLD
        assert source.advance(candles(closes)[max(0, number - 3)]) is Signal.HOLD
    assert said == words(closes)
    assert {Signal.BUY, Signal.SELL} <= set(said)


@settings(deadline=None, max_examples=60)
@given(
    closes=st.lists(st.integers(50, 150).map(float), max_size=150),
    fast=st.integers(1, 8),
    gap=st.integers(1, 12),
    period=st.integers(2, 10),
    bounds=st.tuples(st.integers(0, 49), st.integers(50, 100)),
)
def test_words_are_those_of_the_definition(
    closes: list[float], fast: int, gap: int, period: int, bounds: tuple[int, int]
) -> None:
    """BUY and SELL come exactly where averages cross and the RSI is within its bounds."""
    params = {
        "fast": fast,
        "slow": fast + gap,
        "rsi_period": period,
        "rsi_oversold": bounds[0],
        "rsi_overbought": bounds[1],
    }
    quick, slow, index = Ema(fast), Ema(fast + gap), Rsi(period)
    expected, sides = [], []
    for close in closes:
        line, base, rsi = quick.advance(close), slow.advance(close), index.advance(close)
        word = Signal.HOLD
        if base is not None:
            side = _sign(line - base, base)
            apart = [known for known in sides if known != 0]
            was = apart[-1] if apart else 0
            if sides and rsi is not None and side > was and side > 0 and rsi < bounds[1]:
                word = Signal.BUY
            elif sides and rsi is not None and side < was and side < 0 and rsi > bounds[0]:
                word = Signal.SELL
            sides.append(side)
        expected.append(word)
    assert words(closes, **params) == expected


def _sign(difference: float, scale: float) -> int:
    if math.isclose(difference, 0, abs_tol=scale * 1e-9):
        return 0
    return 1 if difference > 0 else -1


def test_after_its_warm_up_a_source_says_what_one_with_all_history_says() -> None:
    """Replicas that began at different times agree."""
    closes = [100 + 10 * math.sin(step / 9) + 3 * math.sin(step / 2.3) for step in range(600)]
    old = STRATEGIES["ema"].source({})
    young = STRATEGIES["ema"].source({})
    history = candles(closes)
    said_old = [old.advance(candle) for candle in history]
    start = 300 - young.warm_up
    said_young = [young.advance(candle) for candle in history[start:]]
    assert said_young[young.warm_up :] == said_old[300:]
    assert {Signal.BUY, Signal.SELL} <= set(said_old[300:])
