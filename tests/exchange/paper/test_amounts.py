"""Amounts are whole units: nothing is lost on the way in, out or through a product."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botwarden.exchange.paper.amounts import NotDecimal, TooPrecise, cost, decimals_of, floor_to, text, units

AMOUNTS = st.integers(min_value=0, max_value=10**26)


@given(AMOUNTS)
def test_an_amount_survives_its_text(amount: int) -> None:
    """What is written with eight decimals is read back as it was."""
    written = text(amount)
    assert units(written) == amount
    assert Decimal(written) == Decimal(amount).scaleb(-8)
    assert len(written.partition(".")[2]) == 8


@given(AMOUNTS, st.integers(min_value=1, max_value=10**12))
def test_floor_is_the_largest_multiple_below(amount: int, step: int) -> None:
    """Rounding to a step never goes up and never loses a whole step."""
    floored = floor_to(amount, step)
    assert floored % step == 0
    assert 0 <= amount - floored < step


@pytest.mark.parametrize(
    "bad", ["", "1e-05", "-1", "+1", " 1", "1 ", "1.", ".5", "0x1", "1,5", "NaN", "1\n", "٣", "1" * 21]
)
def test_only_plain_decimals_are_amounts(bad: str) -> None:
    """Signs, exponents, spaces and foreign digits are refused."""
    with pytest.raises(NotDecimal):
        units(bad)


@pytest.mark.parametrize("bad", ["0.000000001", "1.123456789", "0.100000000"])
def test_nine_decimals_are_too_many(bad: str) -> None:
    """More than eight decimals are refused, zeros or not."""
    with pytest.raises(TooPrecise):
        units(bad)


def test_negative_amounts_can_be_written() -> None:
    """A price change may be negative."""
    assert text(-150_000_000) == "-1.50000000"


def test_cost_is_rounded_down() -> None:
    """A product with more than eight decimals loses the rest."""
    assert cost(units("0.00000003"), units("0.5")) == 1
    assert cost(units("64000.01"), units("0.00001")) == units("0.6400001")


def test_decimals_of_a_step() -> None:
    """A step knows how many decimals it has."""
    assert [decimals_of(units(step)) for step in ("1", "0.1", "0.001", "0.00000001", "10")] == [0, 1, 3, 8, 0]
