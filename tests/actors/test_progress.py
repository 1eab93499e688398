"""Who is overdue, and who is not expected any more."""

from datetime import timedelta

import anyio
import pytest

from botwarden.actors.progress import OVERDUE_INTERVALS, Forget, Ran
from botwarden.trading.bot import BotId, Status
from botwarden.trading.decisions import StopRequested
from tests.actors.house import PATIENCE_S, House
from tests.persistence.examples import rows

pytestmark = pytest.mark.anyio

INTERVAL_S = 60


def overdue(capsys) -> int:
    """How many warnings of overdue bots were logged since the last look."""
    return capsys.readouterr().out.count("bots.overdue")


async def told_of(house: House, capsys) -> int:
    """Return how many warnings came first; a report comes when the times before it are written."""
    with anyio.fail_after(PATIENCE_S):
        while not (count := overdue(capsys)):
            await house.pass_time(1)
    return count


async def pass_intervals(house: House) -> None:
    """Let three intervals pass, in steps in which whoever is evaluated is evaluated."""
    for _ in range(OVERDUE_INTERVALS + 1):
        await house.pass_time(0.5)
        await house.world.clock.advance(INTERVAL_S)
    await house.pass_time(2)


async def test_a_bot_that_is_not_evaluated_is_told_once(house, capsys):
    """A bot that was not evaluated for three of its intervals is told in the log, once."""
    life = await house.begin()
    await house.running(life, check_interval_seconds=INTERVAL_S)
    ran = Ran(bot_id=BotId(999), at=house.world.clock.now(), next_within_s=INTERVAL_S)
    life.colleagues.progress.tell(ran)
    await pass_intervals(house)
    assert await told_of(house, capsys) == 1
    await pass_intervals(house)
    assert overdue(capsys) == 0
    life.colleagues.progress.tell(ran)
    life.colleagues.progress.tell(Forget(bot_id=BotId(999)))
    await pass_intervals(house)
    assert overdue(capsys) == 0


async def test_a_stopped_bot_is_not_expected(house, capsys):
    """A bot that its owner stopped is never overdue."""
    life = await house.begin()
    bot = await house.running(life, check_interval_seconds=INTERVAL_S)
    await house.obey(life, bot, StopRequested(at=house.world.clock.now()))
    await house.until(bot, lambda state: state.status == Status.STOPPED)
    await pass_intervals(house)
    assert overdue(capsys) == 0


async def test_a_bot_that_is_taken_up_amid_its_work_is_evaluated_at_once(house):
    """Whoever takes a bot over need not wait for its interval: prices are there, so limits are looked at."""
    first = await house.begin()
    bot = await house.running(first, check_interval_seconds=86_400)
    await first.crash()
    await house.begin()
    taken_at = house.world.clock.now()
    await house.until(bot, lambda state: state.status == Status.WAITING_NO_SIGNAL, passing=True)
    with anyio.fail_after(PATIENCE_S):
        while not (ran := await rows(house.database, _LAST_RUN, bot=bot.config.id)):
            await house.pass_time(0.5)
    assert taken_at <= ran[0].last_run_at < taken_at + timedelta(hours=1)


_LAST_RUN = "SELECT last_run_at FROM bot_progress WHERE bot_id = :bot AND last_run_at IS NOT NULL"
