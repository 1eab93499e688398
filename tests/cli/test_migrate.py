"""`botwarden migrate` brings a database to head, and says what it did."""

import pytest
from anyio import to_thread
from click.testing import CliRunner

from botwarden.cli.main import group
from botwarden.persistence import migrate

pytestmark = pytest.mark.anyio


@pytest.fixture
def ask(tmp_path):
    """Runs the command, in a thread: it has a loop of its own."""

    async def ask(*words, **env):
        clean = {"BOTWARDEN_DATABASE_URL": None, "BOTWARDEN_DATABASE_DIRECT_URL": None}
        clean["BOTWARDEN_DATA_DIR"] = str(tmp_path / "data")
        return await to_thread.run_sync(
            lambda: CliRunner().invoke(group, ["migrate", *words], env={**clean, **env})
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
    assert answer.output.startswith("  0001: ")
    assert answer.output.endswith(f"The schema is at head ({migrate.head()}).\n")
    again = await ask(BOTWARDEN_DATABASE_URL=empty_url)
    assert again.output == f"The schema is at head ({migrate.head()}).\n"


async def test_the_way_past_the_pooler_is_taken(ask, empty_url):
    """Migrations hold a session; the named database on the command line comes first all the same."""
    away = "postgresql://u:p@127.0.0.1:9/x"
    answer = await ask(BOTWARDEN_DATABASE_URL=away, BOTWARDEN_DATABASE_DIRECT_URL=empty_url)
    assert answer.exit_code == 0, answer.output
    answer = await ask("--database-url", empty_url, BOTWARDEN_DATABASE_DIRECT_URL=away)
    assert answer.exit_code == 0, answer.output


async def test_an_absent_database_is_one_message(ask):
    """No traceback, no password."""
    answer = await ask(BOTWARDEN_DATABASE_URL="postgresql://ann:hush@127.0.0.1:9/x")
    assert answer.exit_code == 1
    assert answer.output == "Error: The database cannot be reached.\n"


async def test_without_a_database_the_variable_is_named(ask):
    """Whoever forgets it learns its name."""
    answer = await ask()
    assert answer.exit_code == 2
    assert "BOTWARDEN_DATABASE_URL" in answer.output
