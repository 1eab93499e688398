"""Deleted bots are remembered for those who were away, for a while."""

import pytest
from sqlalchemy import text

from botwarden.persistence import bots, deleted_bots
from tests.persistence.examples import add_bots, days_ago, scalar

pytestmark = pytest.mark.anyio


async def test_deleted_bots_are_remembered_for_a_month(database):
    """Each is read by its owner from the deletion on, and forgotten after thirty days."""
    first, second = await add_bots(database, 2)
    owner = first.config.user_id
    async with database.begin() as tx:
        for bot in (first, second):
            await bots.delete_bot(tx, bot.state)
        await tx.execute(
            text("UPDATE deleted_bots SET deleted_at = :at WHERE bot_id = :bot"),
            {"at": days_ago(30), "bot": first.config.id},
        )
        assert await deleted_bots.read_deleted(tx, owner, since=days_ago(31)) == [
            first.config.id,
            second.config.id,
        ]
        assert await deleted_bots.read_deleted(tx, owner, since=days_ago(1)) == [second.config.id]
    async with database.begin() as tx:
        assert await deleted_bots.purge(tx) == 1
    assert await scalar(database, "SELECT bot_id FROM deleted_bots") == second.config.id
