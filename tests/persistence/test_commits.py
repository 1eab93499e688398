"""Group commits: guards, outcomes, and that one bot's trouble is not another's."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import anyio
import pytest
from msgspec.structs import replace
from sqlalchemy import text

from botwarden.errors import Unavailable
from botwarden.persistence.commits import (
    Braked,
    Change,
    Committed,
    CommitUnavailable,
    Conflict,
    Doubtful,
    Failed,
    commit,
)
from botwarden.persistence.halts import EVERYONE, set_halt
from botwarden.persistence.open_orders import read_open_orders
from botwarden.trading.bot import Venue
from botwarden.trading.orders import Absent, Executed, NeverSent, OrderStatus, Rejected, Unexplained
from tests.persistence.examples import (
    TAG,
    VENUE_NOW,
    add_bot,
    add_bots,
    bought,
    buying,
    change,
    commit_all,
    committed,
    read_state,
    rows,
    scalar,
    settling,
    venue_now,
    waiting_backend,
)

pytestmark = pytest.mark.anyio


async def test_each_commit_raises_the_version_and_moves_the_databases_time_on(database):
    """A committed state is what the row holds: one version more, and a later time."""
    bot = await add_bot(database)
    first = await committed(database, change(bot))
    second = await committed(database, change(bot, first.state))
    assert [first.state.version, second.state.version] == [2, 3]
    assert bot.state.last_updated_at < first.state.last_updated_at < second.state.last_updated_at
    assert await read_state(database, bot) == second.state


@pytest.mark.parametrize("stale", [{"version": 7}, {"term": 7}], ids=["version", "term"])
async def test_a_row_that_has_moved_on_is_not_written(database, stale):
    """Version and term guard the write; the other bots of the batch are committed all the same."""
    first, second = await add_bots(database, 2)
    outcomes = await commit_all(database, change(first, replace(first.state, **stale)), change(second))
    assert outcomes[0] == Conflict()
    assert isinstance(outcomes[1], Committed)
    assert await read_state(database, first) == first.state
    assert await scalar(database, "SELECT count(*) FROM bot_events WHERE kind = 'bot.evaluated'") == 1


async def test_of_two_changes_of_one_bot_the_first_is_tried(database):
    """A batch holds at most one change of a bot."""
    bot = await add_bot(database)
    outcomes = await commit_all(database, change(bot), change(bot))
    assert isinstance(outcomes[0], Committed)
    assert outcomes[1] == Conflict()


async def test_a_deleted_bot_is_a_conflict(database):
    """What is gone cannot be written."""
    bot = await add_bot(database)
    async with database.begin() as tx:
        await tx.execute(text("DELETE FROM bot_configs"))
    assert await commit_all(database, change(bot)) == [Conflict()]


async def test_an_intent_is_stamped_and_stands_open(database):
    """The order has its id from tag, bot and number, and the venue's time in whole milliseconds."""
    bot = await add_bot(database)
    outcome = await committed(database, buying(bot))
    assert outcome.order is not None
    assert outcome.order.client_order_id == f"bw-{TAG}-{bot.config.id}-1"
    assert outcome.order.intended_at == VENUE_NOW.replace(microsecond=123000)
    async with database.read() as tx:
        assert await read_open_orders(tx, [bot.config.id]) == {bot.config.id: outcome.order}


async def test_intents_are_stamped_as_their_batch_opens(database):
    """A batch that waited for a lock is not stamped before it has opened."""
    bot = await add_bot(database)
    asked: list[Venue] = []

    def stamp(venue: Venue) -> datetime:
        asked.append(venue)
        return VENUE_NOW + timedelta(seconds=len(asked))

    second = await committed(database, change(bot))
    assert asked == []
    [outcome] = await commit(database, [buying(bot, second.state)], tag=TAG, stamp=stamp)
    assert isinstance(outcome, Committed)
    assert outcome.order is not None
    assert asked == [Venue.PAPER]
    assert outcome.order.intended_at == (VENUE_NOW + timedelta(seconds=1)).replace(microsecond=123000)


async def test_a_venue_without_a_clock_holds_back_its_intents_only(database):
    """Without the venue's time nothing is intended there; other changes go on."""
    first, second = await add_bots(database, 2)

    def stamp(_venue: Venue) -> datetime:
        raise Unavailable("no clock")

    outcomes = await commit(database, [buying(first), change(second)], tag=TAG, stamp=stamp)
    assert outcomes[0] == CommitUnavailable(message="no clock")
    assert isinstance(outcomes[1], Committed)


async def test_a_settlement_books_order_fills_and_trade_together(database):
    """Everything of one outcome is in the books, each once."""
    bot = await add_bot(database)
    opened = await committed(database, buying(bot))
    at = datetime(2026, 1, 5, 23, 59, 59, 999000, tzinfo=UTC)
    settled = settling(
        bot,
        opened.state,
        opened.order,
        bought(at=at),
        in_position=True,
        entry_price=Decimal(100),
        current_position_size_coins=Decimal("0.5"),
        position_cost_quote=Decimal("50.05"),
    )
    await committed(database, settled)
    [order] = await rows(database, "SELECT status, venue_order_id, executed_base, settled_at FROM orders")
    assert (order.status, order.venue_order_id, order.executed_base) == ("filled", 77, Decimal("0.5"))
    assert order.settled_at is not None
    [trade] = await rows(database, "SELECT trading_day, realised_pnl_quote, symbol FROM trades")
    assert (trade.trading_day, trade.symbol) == (at.date(), "BTCUSDT")
    assert await scalar(database, "SELECT sum(commission) FROM fills") == Decimal("0.05")
    async with database.read() as tx:
        assert await read_open_orders(tx, [bot.config.id]) == {}


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Rejected(code=-2010, message="insufficient balance"), "rejected"),
        (NeverSent(message="no budget"), "never_sent"),
        (Absent(), "absent"),
        (Unexplained(message="another size"), "absent"),
        (Executed(venue_order_id=5, status=OrderStatus.EXPIRED, fills=()), "expired"),
        (Executed(venue_order_id=5, status=OrderStatus.FILLED, fills=()), "expired"),
    ],
)
async def test_an_outcome_without_executions_leaves_no_trade(database, outcome, status):
    """Only what the venue executed is a trade; the order is final all the same."""
    bot = await add_bot(database)
    opened = await committed(database, buying(bot))
    await committed(database, settling(bot, opened.state, opened.order, outcome))
    assert await scalar(database, "SELECT status FROM orders") == status
    assert await scalar(database, "SELECT count(*) FROM trades") == 0


async def test_an_order_is_settled_once(database):
    """A settlement of an order that is not open is a conflict, and its neighbours are committed."""
    first, second = await add_bots(database, 2)
    opened = await committed(database, buying(first))
    settled = await committed(database, settling(first, opened.state, opened.order, Absent()))
    again = settling(first, settled.state, opened.order, bought())
    outcomes = await commit_all(database, again, change(second))
    assert outcomes[0] == Conflict()
    assert isinstance(outcomes[1], Committed)
    assert await scalar(database, "SELECT count(*) FROM trades") == 0
    assert await read_state(database, first) == settled.state


async def test_a_second_open_order_of_a_bot_is_impossible(database):
    """Whatever the program decides, the database holds one open intent per bot."""
    bot = await add_bot(database)
    opened = await committed(database, buying(bot))
    [outcome] = await commit_all(database, buying(bot, opened.state))
    assert outcome == Failed(message="UniqueViolationError: uq_orders_open_bot_id")
    assert await read_state(database, bot) == opened.state


async def test_a_brake_forbids_entries_and_nothing_else(database):
    """Under its account's brake a bot does not enter, while it and others go on otherwise."""
    entering, other = await add_bots(database, 2)
    async with database.begin() as tx:
        await set_halt(tx, entering.config.user_id, set_by=entering.config.user_id)
    outcomes = await commit_all(database, buying(entering), change(other))
    assert outcomes[0] == Braked()
    assert isinstance(outcomes[1], Committed)
    assert await read_state(database, entering) == entering.state
    assert await scalar(database, "SELECT count(*) FROM orders") == 0


async def test_nobody_enters_after_a_brake_is_on(database):
    """A brake waits for the entries that are being committed, and all later ones see it."""
    bot = await add_bot(database)
    outcomes: list[object] = []
    async with anyio.create_task_group() as group, database.begin() as tx:
        await set_halt(tx, EVERYONE, set_by=bot.config.user_id)

        async def enter() -> None:
            outcomes.extend(await commit_all(database, buying(bot)))

        group.start_soon(enter)
        async with database.read() as other:
            await waiting_backend(other)
    assert outcomes == [Braked()]


async def test_a_bad_change_fails_alone(database):
    """A change that breaks a constraint fails by name; everyone else in its batch is committed."""
    bots = await add_bots(database, 5)
    batch = [change(bot) for bot in bots]
    batch[2] = change(bots[2], in_position=True)
    outcomes = await commit_all(database, *batch)
    assert outcomes[2] == Failed(message="CheckViolationError: ck_bot_states_position_whole")
    assert [type(outcome) for index, outcome in enumerate(outcomes) if index != 2] == [Committed] * 4
    assert [(await read_state(database, bot)).version for bot in bots] == [2, 2, 1, 2, 2]


async def test_a_locked_row_holds_up_nobody_else(database):
    """A bot that someone else has locked is to try again; the others do not wait for it."""
    first, second = await add_bots(database, 2)
    async with database.begin() as tx:
        await tx.execute(
            text("SELECT FROM bot_states WHERE bot_id = :id FOR NO KEY UPDATE"), {"id": first.config.id}
        )
        outcomes = await commit_all(database, change(first), change(second))
    assert outcomes[0] == CommitUnavailable(message="the bot's row is locked")
    assert isinstance(outcomes[1], Committed)
    assert isinstance((await commit_all(database, change(first)))[0], Committed)


async def test_what_someone_else_wrote_while_the_batch_waited_is_not_overwritten(database):
    """The guard looks at the row as it is once it is free, not as it was when the batch began."""
    bot = await add_bot(database)
    outcomes: list[object] = []

    async def batch() -> None:
        outcomes.extend(await commit_all(database, change(bot, status="running")))

    async with anyio.create_task_group() as tasks, database.begin() as tx:
        await tx.execute(text("UPDATE bot_states SET version = version + 1, status = 'pending'"))
        tasks.start_soon(batch)
        async with database.read() as other:
            await waiting_backend(other)
    assert outcomes == [Conflict()]
    assert (await read_state(database, bot)).status == "pending"


async def test_a_session_lost_before_commit_changes_nothing(database):
    """An outage before COMMIT is not in doubt."""
    bot = await add_bot(database)
    outcomes: list[object] = []

    async def batch() -> None:
        outcomes.extend(await commit_all(database, change(bot)))

    async with database.begin() as tx, database.read() as other:
        await tx.execute(text("SELECT FROM bot_states FOR UPDATE"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(batch)
            pid = await waiting_backend(other)
            await other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
    assert outcomes == [CommitUnavailable(message="The connection to the database was lost.")]
    assert await read_state(database, bot) == bot.state


async def test_a_session_lost_at_commit_is_in_doubt(database):
    """Whether a COMMIT whose answer is lost took place is not known, so nobody claims to know it."""
    bot = await add_bot(database)
    outcomes: list[object] = []
    async with database.begin() as tx:
        await tx.execute(
            text("""
            CREATE FUNCTION wait_at_commit() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NULL; END $$
        """)
        )
        await tx.execute(
            text("""
            CREATE CONSTRAINT TRIGGER wait_at_commit AFTER UPDATE ON bot_states
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_at_commit()
        """)
        )

    async def batch() -> None:
        outcomes.extend(await commit_all(database, change(bot)))

    async with database.begin() as tx, database.read() as other:
        await tx.execute(text("SELECT pg_advisory_xact_lock(4711)"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(batch)
            pid = await waiting_backend(other)
            await other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
    assert outcomes == [Doubtful()]


async def test_every_change_leaves_its_trace(database):
    """The audit trail tells version, cause, kind and what changed, amounts as plain decimals."""
    bot = await add_bot(database)
    after = replace(bot.state, daily_pnl=Decimal("1E-8"), status="running")
    change_ = change(bot)
    noted = replace(change_.decision, state=after, message="why")
    outcome = await committed(database, Change(config=bot.config, before=bot.state, decision=noted))
    [event] = await rows(database, "SELECT * FROM bot_events WHERE kind = 'bot.evaluated'")
    assert event.changes == {"daily_pnl": ["0", "0.00000001"], "status": ["stopped", "running"]}
    assert (event.version, event.cause, event.message) == (2, "strategy", "why")
    assert event.at == outcome.state.last_updated_at


async def test_nothing_is_lost_of_an_amount(database):
    """Amounts keep every digit on their way through the database."""
    bot = await add_bot(database)
    exact = Decimal("123456789012345678.123456789012345678")
    outcome = await committed(database, change(bot, daily_pnl=exact))
    assert (await read_state(database, bot)).daily_pnl == exact == outcome.state.daily_pnl


async def test_stamp_of_another_zone_is_the_same_moment(database):
    """A venue's time is kept as a moment, whatever its zone."""
    bot = await add_bot(database)
    outcome = await commit(database, [buying(bot)], tag=TAG, stamp=venue_now)
    assert isinstance(outcome[0], Committed)
    assert await scalar(database, "SELECT intended_at FROM orders") == VENUE_NOW.replace(microsecond=123000)
