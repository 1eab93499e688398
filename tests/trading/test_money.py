"""Rounding never goes the wrong way, and shares never lose a digit."""

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botwarden.trading.money import (
    average_price,
    ceil_to_step,
    floor_to_places,
    floor_to_step,
    percent_of,
    share_of,
    total,
)

AMOUNTS = st.decimals(min_value=0, max_value=10**12, places=8, allow_nan=False, allow_infinity=False)
STEPS = st.sampled_from([Decimal(text) for text in ("0.00000001", "0.001", "0.01", "0.05", "1", "10", "2.5")])


@given(AMOUNTS, STEPS)
def test_floor_is_the_largest_whole_multiple_that_is_not_above(amount: Decimal, step: Decimal) -> None:
    """A floor is a multiple of the step, not above the amount, and less than one step away."""
    floor = floor_to_step(amount, step)
    assert floor % step == 0
    assert 0 <= amount - floor < step
    assert floor_to_step(floor, step) == floor


@given(AMOUNTS, STEPS)
def test_ceiling_is_the_smallest_whole_multiple_that_is_not_below(amount: Decimal, step: Decimal) -> None:
    """A ceiling is a multiple of the step, not below the amount, and less than one step away."""
    ceiling = ceil_to_step(amount, step)
    assert ceiling % step == 0
    assert 0 <= ceiling - amount < step


@given(AMOUNTS)
def test_a_step_of_zero_is_off(amount: Decimal) -> None:
    """Without a step nothing is rounded."""
    assert floor_to_step(amount, Decimal(0)) == amount
    assert ceil_to_step(amount, Decimal(0)) == amount


@pytest.mark.parametrize(
    ("amount", "step", "floor"),
    [
        ("0.29", "0.01", "0.29"),  # a float division makes this 0.28
        ("0.3", "0.1", "0.3"),
        ("1.9999999999", "1", "1"),
        ("0.0009", "0.001", "0"),
        ("123456789012345678.12345678", "0.00000001", "123456789012345678.12345678"),
    ],
)
def test_floor_by_example(amount: str, step: str, floor: str) -> None:
    """Steps that floats cannot say are kept exactly."""
    assert floor_to_step(Decimal(amount), Decimal(step)) == Decimal(floor)


@given(AMOUNTS, st.integers(min_value=0, max_value=8))
def test_cutting_to_places_never_rises(amount: Decimal, places: int) -> None:
    """What is cut to some decimals is not above the amount, by less than one unit of the last."""
    cut = floor_to_places(amount, places)
    assert 0 <= amount - cut < Decimal(1).scaleb(-places)
    assert cut == cut.quantize(Decimal(1).scaleb(-places))


@given(total_=AMOUNTS, whole=AMOUNTS.filter(lambda amount: amount > 0), parts=st.lists(AMOUNTS, max_size=6))
def test_shares_taken_one_after_the_other_add_up_exactly(
    total_: Decimal, whole: Decimal, parts: list[Decimal]
) -> None:
    """However a position is sold in parts, the costs of parts and rest are its cost, to the digit."""
    cost_left, held, taken = total_, whole, []
    for part in parts:
        sold = min(part, held)
        if sold == 0:
            continue
        share = share_of(cost_left, sold, held)
        assert 0 <= share <= cost_left
        taken.append(share)
        cost_left, held = cost_left - share, held - sold
    with localcontext(prec=60):
        assert sum(taken, Decimal(0)) + cost_left == total_
    if held == 0:
        assert cost_left == 0


def test_totals_are_exact_beyond_the_default_precision() -> None:
    """Sums keep digits that the default context would drop."""
    amounts = [Decimal("1E17"), Decimal("1E-18"), Decimal("-1E17")]
    assert total(amounts) == Decimal("1E-18")


def test_percent_is_exact() -> None:
    """A percentage of an amount is not rounded."""
    assert percent_of(Decimal("1234.56789012"), Decimal("0.333")) == Decimal("4.1111110740996")


def test_average_price_keeps_sixteen_digits() -> None:
    """An average that does not come out even is shown in as many digits as JSON readers keep."""
    assert average_price(Decimal(100), Decimal(3)) == Decimal("33.33333333333333")
    assert average_price(Decimal("128500.2"), Decimal(2)) == Decimal("64250.1")
