"""Exits in vain are repeated more and more slowly; one that never left gets one more chance at once."""

from decimal import Decimal

import pytest
from msgspec import structs

from botwarden.actors.patience import Patience
from botwarden.trading.orders import NeverSent, OrderType, Rejected, Side
from tests.trading.examples import executed, make_order

SALE = make_order(2, Side.SELL)
REFUSED = Rejected(code=-2010, message="insufficient balance")


@pytest.mark.parametrize("times", range(1, 8))
def test_each_refusal_in_a_row_waits_longer_up_to_a_minute(times):
    patience = Patience()
    for _ in range(times):
        patience.note(SALE, REFUSED, 100.0)
    assert patience.left_s(100.0) == min(5.0 * 2 ** (times - 1), 60.0)
    assert patience.left_s(161.0) == 0


def test_refusals_of_a_whole_year_do_not_overflow():
    patience = Patience()
    for _ in range(10_000):
        patience.note(SALE, REFUSED, 0.0)
    assert patience.left_s(0.0) == 60.0


def test_only_the_first_that_never_left_is_repeated_at_once():
    patience = Patience()
    waits = []
    for _ in range(3):
        patience.note(SALE, NeverSent(message="no key"), 0.0)
        waits.append(patience.left_s(0.0))
    assert waits == [0.0, 1.0, 1.0]


def test_an_order_that_was_executed_forgives_everything():
    patience = Patience()
    patience.note(SALE, REFUSED, 0.0)
    patience.note(SALE, executed(), 1.0)
    assert patience.left_s(1.0) == 0
    patience.note(SALE, REFUSED, 2.0)
    assert patience.left_s(2.0) == 5.0


def test_a_protective_list_delays_no_exit():
    patience = Patience()
    patience.note(structs.replace(SALE, type=OrderType.OCO), REFUSED, 0.0)
    assert patience.left_s(0.0) == 0


def test_what_is_free_lifts_the_first_wait_and_is_believed_for_a_while():
    patience = Patience()
    patience.note(SALE, REFUSED, 0.0)
    patience.learn(Decimal("0.5"), 1.0)
    assert patience.left_s(1.0) == 0
    assert patience.free_base(10.0) == Decimal("0.5")
    assert patience.free_base(12.0) is None
    patience.note(SALE, REFUSED, 13.0)
    patience.learn(Decimal("0.5"), 13.0)
    assert patience.left_s(13.0) == 10.0


def test_nothing_free_lifts_nothing_and_is_forgotten():
    patience = Patience()
    patience.note(SALE, REFUSED, 0.0)
    patience.learn(Decimal(0), 1.0)
    assert patience.left_s(1.0) == 4.0
    assert patience.free_base(1.0) == 0
    assert patience.free_base(11.5) is None
