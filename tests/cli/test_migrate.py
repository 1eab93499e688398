"""`botwarden migrate` brings a database to head, and says what it did."""

from secrets import token_hex

import asyncpg
import pytest
from anyio import to_thread
from click.testing import CliRunner
from sqlalchemy import make_url, text

from botwarden.cli.main import group
from botwarden.persistence import migrate
from botwarden.persistence.database import Database
from botwarden.persistence.reach import place

pytestmark = pytest.mark.anyio


@pytest.fixture
def ask(tmp_path):
    """Runs the command, in a thread: it has a loop of its own."""

    async def ask(*words, command="migrate", **env):
        clean = {"BOTWARDEN_DATABASE_URL": None, "BOTWARDEN_DATABASE_DIRECT_URL": None}
        clean["BOTWARDEN_DATA_DIR"] = str(tmp_path / "data")
        return await to_thread.run_sync(
            lambda: CliRunner().invoke(group, [command, *words], env={**clean, **env})
        )

    return ask


@pytest.fixture
async def empty_url(clerk):
    """A database without a schema."""
    await clerk.execute("CREATE DATABASE test_empty")
    yield clerk.url("test_empty")
    await clerk.execute("DROP DATABASE test_empty WITH (FORCE)")


async def test_an_empty_database_is_brought_to_head_step_by_step(ask, empty_url):
    """Each step is told; once more, there is none left."""
    answer = await ask(BOTWARDEN_DATABASE_URL=empty_url)
    assert answer.exit_code == 0, answer.output
    assert answer.output.startswith(f"The {place(empty_url)}:\n  0001: ")
    assert answer.output.endswith(f"The schema is at head ({migrate.head()}).\n")
    again = await ask(BOTWARDEN_DATABASE_URL=empty_url)
    assert again.output == f"The {place(empty_url)}:\nThe schema is at head ({migrate.head()}).\n"


async def test_the_way_past_the_pooler_is_taken(ask, empty_url):
    """Migrations hold a session; the named database on the command line comes first all the same."""
    away = "postgresql://u:p@127.0.0.1:9/x"
    answer = await ask(BOTWARDEN_DATABASE_URL=away, BOTWARDEN_DATABASE_DIRECT_URL=empty_url)
    assert answer.exit_code == 0, answer.output
    answer = await ask("--database-url", empty_url, BOTWARDEN_DATABASE_DIRECT_URL=away)
    assert answer.exit_code == 0, answer.output


async def test_an_absent_database_is_one_message(ask):
    """Where it was looked for and why it is not there; no traceback, no password."""
    answer = await ask(BOTWARDEN_DATABASE_URL="postgresql://ann:hush@127.0.0.1:9/x")
    assert answer.exit_code == 1
    assert answer.output.startswith(
        "The database x at 127.0.0.1:9:\nError: The database x at 127.0.0.1:9 cannot"
    )
    assert "hush" not in answer.output
    assert answer.output.count("\n") == 2


@pytest.mark.parametrize(
    ("changed", "why"),
    [({"password": "hush"}, "password authentication failed"), ({"database": "nowhere"}, "does not exist")],
)
@pytest.mark.parametrize("command", ["migrate", "serve"])
async def test_a_wrong_word_in_the_url_is_named(ask, empty_url, command, changed, why):
    """Wrong password and wrong database are told in the server's own words, in one line."""
    url = make_url(empty_url).set(**changed)
    env = {
        "BOTWARDEN_DATABASE_URL": url.render_as_string(hide_password=False),
        "BOTWARDEN_REDIS_URL": "redis://127.0.0.1:9",
        "BOTWARDEN_SECRET_KEY": token_hex(32),
        "BOTWARDEN_PORT": "0",
    }
    answer = await ask(command=command, **env)
    assert answer.exit_code == 1
    said = answer.output.splitlines()[-1]
    assert said.startswith(f"Error: The database {url.database} at ")
    assert why in said
    assert url.password not in answer.output


async def test_what_is_no_url_is_told_as_such(ask):
    """A sign in the password that ends the host's name early is a common mistake."""
    answer = await ask(BOTWARDEN_DATABASE_URL="postgresql://ann:hu:sh/@db:x/y")
    assert (answer.exit_code, answer.output.count("\n")) == (1, 1)
    assert "hu:sh" not in answer.output


async def test_a_newer_schema_is_left_alone(ask, empty_url):
    """An older program cannot lead it anywhere, and says so."""
    await ask(BOTWARDEN_DATABASE_URL=empty_url)
    database = Database.connect(empty_url, pool_size=1)
    async with database.begin() as tx:
        await tx.execute(text("UPDATE alembic_version SET version_num = 'of a later release'"))
    await database.close()
    answer = await ask(BOTWARDEN_DATABASE_URL=empty_url)
    assert answer.exit_code == 1
    assert answer.output.splitlines()[1:] == [f"Error: {migrate.NEWER_THAN_THIS}"]


async def test_a_user_without_the_right_is_told(ask, empty_url, clerk):
    """Since PostgreSQL 15 not everybody may make tables: what is missing is said."""
    await clerk.execute("CREATE ROLE guest LOGIN PASSWORD 'hush'")
    url = make_url(empty_url).set(username="guest", password="hush")
    answer = await ask(BOTWARDEN_DATABASE_URL=url.render_as_string(hide_password=False))
    await clerk.execute("DROP ROLE guest")
    assert answer.exit_code == 1
    assert "permission denied" in answer.output.splitlines()[-1]
    assert answer.output.count("\n") == 2


async def test_a_lock_that_stays_is_one_message(ask, empty_url, monkeypatch):
    """Whoever cannot have a lock in time says so, has changed nothing, and is to try again."""
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT_MS", 30)
    monkeypatch.setattr(migrate, "PAUSES_S", ())
    await migrate.upgrade(empty_url, lambda _step: None, to="0001")
    link = await asyncpg.connect(empty_url.replace("postgresql+asyncpg", "postgresql"))
    async with link.transaction():
        await link.execute("LOCK TABLE bot_states IN ROW EXCLUSIVE MODE")
        answer = await ask(BOTWARDEN_DATABASE_URL=empty_url)
        assert answer.exit_code == 1
        told = answer.output.splitlines()[1:]
        assert len(told) == 1
        assert told[0].startswith("Error: Nothing was changed: another session holds a lock")
        assert "Try again" in told[0]
    await link.close()
    answer = await ask(BOTWARDEN_DATABASE_URL=empty_url)
    assert answer.exit_code == 0, answer.output


async def test_without_a_database_the_variable_is_named(ask):
    """Whoever forgets it learns its name."""
    answer = await ask()
    assert answer.exit_code == 2
    assert "BOTWARDEN_DATABASE_URL" in answer.output
