"""`botwarden serve` refuses a database on which commits could be lost, or bots be locked for ever."""

import secrets
from functools import partial

import pytest
from anyio import to_thread
from click.testing import CliRunner
from sqlalchemy import text

from botwarden.cli import serve
from botwarden.cli.main import group
from botwarden.persistence.database import Database

pytestmark = pytest.mark.anyio


@pytest.fixture
def refused(database_url, redis_url, tmp_path):
    """Return what `serve` says before it ends."""

    async def refused():
        env = {
            "BOTWARDEN_DATABASE_URL": database_url,
            "BOTWARDEN_DATABASE_DIRECT_URL": None,
            "BOTWARDEN_REDIS_URL": redis_url,
            "BOTWARDEN_SECRET_KEY": secrets.token_hex(32),
            "BOTWARDEN_DATA_DIR": str(tmp_path / "data"),
        }
        answer = await to_thread.run_sync(
            lambda: CliRunner().invoke(group, ["serve", "--port", "0"], env=env)
        )
        assert answer.exit_code == 1, answer.output
        return answer.output

    return refused


async def test_a_database_that_forgets_commits_is_refused(database, refused):
    """Whatever was answered must be on disk."""
    async with database.begin() as tx:
        name = (await tx.execute(text("SELECT current_database()"))).scalar_one()
        await tx.execute(text(f"ALTER DATABASE {name} SET synchronous_commit = off"))
    assert "synchronous_commit = off" in await refused()


async def test_a_pooler_that_drops_time_outs_is_refused(refused, monkeypatch):
    """Sessions without them would let a frozen replica keep its bots locked."""
    monkeypatch.setattr(serve.Database, "connect", partial(Database.connect, idle_in_transaction_ms=0))
    assert "set them for the role" in await refused()
