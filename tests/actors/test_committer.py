"""Group commit: what gathers is one transaction, and nobody pays for another's conflict or bug."""

from dataclasses import dataclass
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
import structlog
from anyio.lowlevel import checkpoint

from botwarden.actors.committer import Commit, CommitterActor
from botwarden.errors import Unavailable
from botwarden.persistence import bots, errors
from botwarden.persistence.commits import (
    Change,
    CommitOutcome,
    Committed,
    CommitUnavailable,
    Conflict,
    Doubtful,
    Failed,
)
from botwarden.runtime.testing import Probe, Stage, run_actor
from botwarden.trading.bot import HaltedBy
from tests.actors.doors import CommitterDatabase, Doors, Step
from tests.persistence.examples import (
    TAG,
    add_bots,
    bought,
    buying,
    change,
    read_state,
    set_state,
    settling,
    venue_now,
)

pytestmark = pytest.mark.anyio


class OnPurposeError(Exception):
    """Raised on purpose."""


@dataclass
class Office:
    """A committer on its stage, and what it has announced."""

    stage: Stage[Any]
    doors: Doors
    announcer: Probe

    async def commit(self, change: Change) -> CommitOutcome:
        """Commit one change."""
        return await self.stage.ask(lambda reply: Commit(change=change, reply=reply))

    async def gathered(
        self, first: Change, *changes: Change, fails: Exception | None = None
    ) -> list[CommitOutcome | Exception]:
        """Commit `changes` while `first` is held after its commit; return the outcomes of all."""
        outcomes: list[CommitOutcome | Exception] = [Conflict()] * (1 + len(changes))

        async def one(place: int, change: Change) -> None:
            try:
                outcomes[place] = await self.commit(change)
            except Unavailable as unanswered:
                outcomes[place] = unanswered

        stop = self.doors.hold(Step.OTHER_COMMITTED)
        async with anyio.create_task_group() as group:
            group.start_soon(one, 0, first)
            await stop.meet()
            for place, change in enumerate(changes, 1):
                group.start_soon(one, place, change)
            while self.depth < len(changes):
                await checkpoint()
            stop.release(raises=fails)
            if fails is not None:
                while not self.stage.crashes:
                    await checkpoint()
                await self.stage.clock.advance(1)
        return outcomes

    @property
    def depth(self) -> int:
        """How many messages wait for the committer."""
        return next(it.depth for it in self.stage.system.tree().children if it.name == "committer")

    def announced(self) -> list[list[tuple[int, int]]]:
        """Bot and version of each announced state, by message."""
        return [[(it.bot_id, it.version) for it in said.states] for said in self.announcer.received]


@pytest.fixture
async def office(database):
    """A committer on a real database, whose announcements are written down."""
    doors, probes = Doors(), []
    around: Any = SimpleNamespace(database=CommitterDatabase(database, doors), tag=TAG, venue_now=venue_now)
    announcer: Any = SimpleNamespace(tell=lambda word: probes[0].ref.tell(word))  # noqa: PLW0108 - made later
    async with run_actor(lambda: CommitterActor(around, announcer), name="committer") as stage:
        probes.append(await stage.probe("announcer"))
        yield Office(stage, doors, probes[0])


async def test_what_gathers_is_one_commit(office, database):
    """What bots decide while a commit is under way is committed together, and announced in one message."""
    first, *rest = await add_bots(database, 9)
    outcomes = await office.gathered(change(first), *(buying(bot) for bot in rest))
    assert all(isinstance(outcome, Committed) for outcome in outcomes)
    assert office.doors.batches == [1, 8]
    assert [len(states) for states in office.announced()] == [1, 8]
    assert {outcome.order.bot_id for outcome in outcomes[1:]} == {bot.config.id for bot in rest}


async def test_one_conflict_hurts_nobody_else(office, database):
    """A change whose row has moved on is a conflict; the others of its batch are committed."""
    first, stale, other = await add_bots(database, 3)
    moved = await office.commit(change(stale))
    outcomes = await office.gathered(change(first), change(stale), change(other))
    assert [type(outcome) for outcome in outcomes] == [Committed, Conflict, Committed]
    assert await read_state(database, stale) == moved.state
    assert office.announced()[-1] == [(other.config.id, 2)]


async def test_one_bad_change_hurts_nobody_else(office, database):
    """A change that the database refuses for good fails alone."""
    first, bad, other = await add_bots(database, 3)
    no_price = change(bad, in_position=True, current_position_size_coins=Decimal(-1))
    outcomes = await office.gathered(change(first), no_price, change(other))
    assert [type(outcome) for outcome in outcomes] == [Committed, Failed, Committed]
    assert (await read_state(database, bad)).version == 1
    assert office.announced()[-1] == [(other.config.id, 2)]


async def test_one_locked_row_hurts_nobody_else(office, database):
    """A row that its owner is writing just now waits for another time; the others are committed."""
    first, locked, other = await add_bots(database, 3)
    async with database.begin() as tx:
        await bots.lock_bot(tx, locked.config.user_id, locked.config.id)
        outcomes = await office.gathered(change(first), change(locked), change(other))
    assert [type(outcome) for outcome in outcomes] == [Committed, CommitUnavailable, Committed]
    assert isinstance(await office.commit(change(locked)), Committed)


async def test_a_bot_is_in_a_batch_once(office, database):
    """Of two changes of one bot that gather only the first is tried."""
    first, twice = await add_bots(database, 2)
    outcomes = await office.gathered(
        change(first), change(twice, daily_trades_count=1), change(twice, daily_trades_count=7)
    )
    assert [type(outcome) for outcome in outcomes] == [Committed, Committed, Conflict]
    assert office.doors.batches == [1, 1]
    assert (await read_state(database, twice)).daily_trades_count == 1


async def test_nothing_is_announced_before_it_is_committed(office, database):
    """Word goes out after the commit, and never of what was not committed."""
    [bot] = await add_bots(database, 1)
    stop = office.doors.hold(Step.OTHER_WRITTEN, raises=errors.Doubtful())
    assert isinstance(await office.commit(change(bot)), Doubtful)
    assert stop.reached.is_set()
    assert (await read_state(database, bot)).version == 1
    assert not office.announced()
    assert isinstance(await office.commit(change(bot)), Committed)
    assert office.announced() == [[(bot.config.id, 2)]]


async def test_a_crash_leaves_its_batch_in_doubt(office, database):
    """A bug in a commit leaves those of its batch in doubt; those who wait are committed afterwards."""
    first, waiting = await add_bots(database, 2)
    outcomes = await office.gathered(change(first), change(waiting), fails=OnPurposeError())
    assert isinstance(outcomes[0], Doubtful)
    assert isinstance(outcomes[1], Committed)
    assert [crash.name for crash in office.stage.crashes] == ["committer"]
    assert (await read_state(database, first)).version == 2
    assert isinstance(await office.commit(change(first, await read_state(database, first))), Committed)


async def test_trades_and_halts_are_logged_once_they_stand(office, database):
    """Each committed trade, and each halt, is a line for people; what was not committed is none."""
    bot, stale = await add_bots(database, 2)
    awake = await set_state(database, bot, halted_by=None)
    intended = await office.commit(buying(bot, awake))
    moved = await office.commit(buying(stale))
    await office.commit(change(stale, moved.state))
    settle = settling(bot, intended.state, intended.order, bought(), halted_by=HaltedBy.SYSTEM)
    lost = settling(stale, moved.state, moved.order, bought(trade_id=2))
    with structlog.testing.capture_logs() as entries:
        assert isinstance(await office.commit(settle), Committed)
        assert isinstance(await office.commit(lost), Conflict)
    assert entries == [
        {
            "event": "trade.booked",
            "log_level": "info",
            "bot_id": bot.config.id,
            "symbol": "BTCUSDT",
            "side": "BUY",
            "price": "100",
            "size": "0.5",
            "pnl": "0",
        },
        {
            "event": "bot.halted",
            "log_level": "info",
            "bot_id": bot.config.id,
            "by": "system",
            "status": intended.state.status,
        },
    ]
