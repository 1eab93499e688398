"""The door to PostgreSQL: what goes wrong has a name, and what was not committed is undone."""

import anyio
import pytest
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from botwarden.errors import Locked, Unavailable
from botwarden.persistence import migrate
from botwarden.persistence.commits import Committed, Conflict, Doubtful
from botwarden.persistence.database import Database, driver_url
from botwarden.persistence.errors import Deadlocked
from botwarden.persistence.errors import Doubtful as DoubtfulError
from chaos.line import line_to_postgres
from tests.persistence.examples import add_bot, add_user, change, commit_all, read_state, scalar

pytestmark = pytest.mark.anyio


@pytest.fixture
async def distant(database_url):
    """A database behind a line that can be cut."""
    line, through = line_to_postgres(database_url)
    await line.open()
    database = Database.connect(through())
    yield database, line
    await line.cut()
    await database.close()


async def test_a_block_that_raises_changes_nothing(database):
    """A transaction is whole or not at all, and its connection is as good as new."""
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - what precedes cannot raise this
        async with database.begin() as tx:
            await tx.execute(text("INSERT INTO users (email, password_hash) VALUES ('a', 'b')"))
            raise ZeroDivisionError
    assert await scalar(database, "SELECT count(*) FROM users") == 0


async def test_a_cancelled_block_changes_nothing(database):
    """Whoever is cancelled in the middle leaves nothing behind, and the pool goes on."""
    for _ in range(15):
        with anyio.move_on_after(0) as scope:
            async with database.begin() as tx:
                await tx.execute(text("INSERT INTO users (email, password_hash) VALUES ('a', 'b')"))
                await tx.execute(text("SELECT pg_sleep(10)"))
        assert scope.cancelled_caught
    assert await scalar(database, "SELECT count(*) FROM users") == 0


async def test_an_error_does_not_tell_what_was_written(database):
    """The parameters of a statement may be secrets, so no error repeats them."""
    insert = text("INSERT INTO users (email, password_hash) VALUES ('a', :secret)")
    with pytest.raises(IntegrityError) as caught:  # noqa: PT012 - the second statement raises
        async with database.begin() as tx:
            await tx.execute(insert, {"secret": "first"})
            await tx.execute(insert, {"secret": "marked-secret"})
    assert "marked-secret" not in str(caught.value)


async def test_an_absent_server_is_unavailable(tmp_path):
    """No server is no crash: try again later."""
    database = Database.connect(f"postgresql://app@/nowhere?host={tmp_path}")
    for attempt in (database.check, database.begin().__aenter__, database.read().__aenter__):
        with pytest.raises(Unavailable):
            await attempt()
    with pytest.raises(Unavailable):
        await migrate.current(database.engine)
    await database.close()


async def test_a_full_pool_is_unavailable(database_url):
    """Who gets no connection in time is told to try again."""
    small = Database.connect(database_url, pool_size=1, connect_within_s=0.05)
    async with small.begin():
        with pytest.raises(Unavailable):
            await small.check()
    await small.check()
    await small.close()


async def test_a_lock_that_is_not_to_be_had_is_locked(database_url):
    """The lock time-out has its own name."""
    hasty = Database.connect(database_url, lock_timeout_ms=20)
    await add_user(hasty)
    async with hasty.begin() as holder:
        await holder.execute(text("UPDATE users SET role = 'admin'"))
        with pytest.raises(Locked):
            async with hasty.begin() as tx:
                await tx.execute(text("UPDATE users SET role = 'user'"))
    await hasty.close()


async def test_a_long_statement_is_ended(database_url):
    """No statement runs for ever."""
    hasty = Database.connect(database_url, statement_timeout_ms=20)
    with pytest.raises(Unavailable):
        async with hasty.begin() as tx:
            await tx.execute(text("SELECT pg_sleep(30)"))
    await hasty.close()


async def test_a_session_that_stalls_in_a_transaction_is_ended(database_url, database):
    """A process that stops in the middle of a transaction cannot keep rows locked."""
    stalling = Database.connect(database_url, idle_in_transaction_ms=50)
    await add_user(stalling)
    with pytest.raises(Unavailable):  # noqa: PT012 - what precedes cannot raise this
        async with stalling.begin() as tx:
            await tx.execute(text("UPDATE users SET role = 'admin'"))
            pid = (await tx.execute(text("SELECT pg_backend_pid()"))).scalar_one()
            with anyio.fail_after(10):
                while await scalar(database, "SELECT count(*) FROM pg_stat_activity WHERE pid = :p", p=pid):
                    pass
            await tx.execute(text("SELECT 1"))
    assert await scalar(database, "SELECT role FROM users") == "user"
    await stalling.close()


async def test_a_deadlock_has_a_name(database):
    """The one that the server ended to resolve a deadlock may try again."""
    await add_user(database, "a@example.com")
    await add_user(database, "b@example.com")
    ended = []
    both = anyio.Event()
    holding = []

    async def cross(first, second):
        try:
            async with database.begin() as tx:
                await tx.execute(text("UPDATE users SET role = role WHERE email = :e"), {"e": first})
                holding.append(first)
                if len(holding) == 2:
                    both.set()
                await both.wait()
                await tx.execute(text("UPDATE users SET role = role WHERE email = :e"), {"e": second})
        except Deadlocked as error:
            ended.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cross, "a@example.com", "b@example.com")
        tasks.start_soon(cross, "b@example.com", "a@example.com")
    assert len(ended) == 1


async def test_a_broken_constraint_stays_what_it_is(database):
    """What is a bug is not dressed up as an outage."""
    with pytest.raises(IntegrityError):
        async with database.begin() as tx:
            await tx.execute(text("INSERT INTO users (email, password_hash) VALUES ('Upper', 'b')"))


async def test_after_an_outage_all_resumes_by_itself(distant):
    """While the server is out of reach everything is unavailable; then the same pool works again."""
    database, line = distant
    await database.check()
    await line.cut()
    for _ in range(3):
        with pytest.raises(Unavailable):
            await database.check()
    await line.open()
    await database.check()


async def test_a_commit_whose_answer_is_lost_stands_and_is_called_doubtful(distant, database):
    """What was committed though its answer was lost is found by reading, not by guessing."""
    through_line, line = distant
    bot = await add_bot(database)
    line.deafen = lambda sent: b"COMMIT" in sent
    assert await commit_all(through_line, change(bot, status="running")) == [Doubtful()]
    line.deafen = lambda _sent: False
    state = await read_state(database, bot)
    assert (state.version, state.status) == (2, "running")
    assert await commit_all(through_line, change(bot)) == [Conflict()]
    assert isinstance((await commit_all(through_line, change(bot, state)))[0], Committed)
    line.deafen = lambda sent: b"COMMIT" in sent
    with pytest.raises(DoubtfulError):
        async with through_line.begin() as tx:
            await tx.execute(text("UPDATE users SET role = 'admin'"))
    assert await scalar(database, "SELECT role FROM users") == "admin"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgres://u:p@h:1/d", "postgresql+asyncpg://u:p@h:1/d"),
        ("postgresql://u@/d?host=/run/pg", "postgresql+asyncpg://u@/d?host=/run/pg"),
        ("postgresql+asyncpg://u@h/d", "postgresql+asyncpg://u@h/d"),
        ("postgresql://u@h/d?sslmode=require", "postgresql+asyncpg://u@h/d?ssl=require"),
    ],
)
def test_any_form_of_url_is_understood(given, expected):
    """URLs as operators write them, libpq's sslmode included."""
    url = driver_url(given).render_as_string(hide_password=False).replace("%2F", "/")
    assert url == expected


async def test_a_state_that_nobody_wrote_keeps_its_time(database):
    """`last_updated_at` belongs to the database: it moves with the version, and with nothing else."""
    bot = await add_bot(database)
    async with database.begin() as tx:
        await tx.execute(text("UPDATE bot_states SET term = 5, last_updated_at = '2001-01-01'"))
    assert await read_state(database, bot) == replace(bot.state, term=5)
    async with database.begin() as tx:
        await tx.execute(text("UPDATE bot_states SET version = 2, last_updated_at = '2001-01-01'"))
        await tx.execute(text("UPDATE bot_states SET version = 3"))
    state = await read_state(database, bot)
    assert state.last_updated_at > bot.state.last_updated_at
