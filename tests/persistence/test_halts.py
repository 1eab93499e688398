"""The emergency brake: one account's, or everyone's."""

import pytest

from botwarden.persistence import halts
from botwarden.persistence.halts import EVERYONE
from tests.persistence.examples import add_user

pytestmark = pytest.mark.anyio


async def test_a_brake_holds_its_own_account(database):
    """It is on until it is taken off, and setting it again changes nothing."""
    owner, other = await add_user(database), await add_user(database, "other@example.com")
    async with database.begin() as tx:
        assert await halts.read_halt(tx, owner) is None
        await halts.set_halt(tx, owner, set_by=owner)
        first = await halts.read_halt(tx, owner)
        await halts.set_halt(tx, owner, set_by=other)
        assert await halts.read_halt(tx, owner) == first
        assert await halts.read_halt(tx, other) is None
        assert await halts.halted_users(tx, [owner, other]) == {owner}
        assert await halts.clear_halt(tx, owner)
        assert not await halts.clear_halt(tx, owner)
        assert await halts.halted_users(tx, [owner, other]) == frozenset()


async def test_everyones_brake_holds_every_account(database):
    """An administrator's brake is shown to all; one's own is shown first."""
    owner, admin = await add_user(database), await add_user(database, "admin@example.com")
    async with database.begin() as tx:
        await halts.set_halt(tx, EVERYONE, set_by=admin)
        halt = await halts.read_halt(tx, owner)
        assert halt is not None
        assert (halt.user_id, halt.set_by) == (EVERYONE, admin)
        assert await halts.halted_users(tx, [owner, admin]) == {owner, admin}
        await halts.set_halt(tx, owner, set_by=owner)
        halt = await halts.read_halt(tx, owner)
        assert halt is not None
        assert halt.user_id == owner
