"""Doubt about a commit that has been cleared up raises no second order."""

import pytest

from botwarden.errors import Unavailable
from botwarden.persistence.errors import Doubtful
from botwarden.trading.decisions import Signal
from tests.actors.doors import Step
from tests.actors.house import is_settled

pytestmark = pytest.mark.anyio


async def test_an_order_whose_first_commit_was_in_doubt_is_sent_once(house):
    """A commit in doubt did not stand, its repetition did: what was sent since is not taken for unsent."""
    life = await house.begin()
    bot = await house.running(life)
    life.doors.hold(Step.DECIDED, raises=Doubtful())
    for _ in range(2):
        life.doors.hold(Step.OUTCOME_WRITTEN, raises=Unavailable())
    life.signal(bot, Signal.BUY)
    await house.until(bot, is_settled(1), passing=True)
    await house.pass_time(2)
    assert len(life.doors.placed) == len(await house.venue_orders(life)) == 1
    await house.check_books(life)
