"""API keys: sealed in the database, shown as a hint, opened by their own row only."""

import pytest
from sqlalchemy import text

from botwarden.errors import Missing, Refused
from botwarden.persistence import api_keys, bots
from botwarden.persistence.errors import SecretUnreadable
from botwarden.persistence.vault import Vault, keys_from_secret
from botwarden.trading.bot import Venue
from tests.persistence.examples import VAULT, add_api_key, add_user, new_bot, rows, scalar

pytestmark = pytest.mark.anyio

PAIR = ("AKIAabcdefghijklmnopWXYZ", "the-secret-half-of-the-pair")


async def add(database, user_id, pair=PAIR):
    async with database.begin() as tx:
        return await api_keys.create_api_key(
            tx, VAULT, user_id, label="main", venue=Venue.PAPER, api_key=pair[0], secret_key=pair[1]
        )


async def test_a_pair_is_stored_sealed_and_opens_again(database):
    """What lies in the database holds neither half; opened, both come back."""
    view = await add(database, await add_user(database))
    assert view.api_key_hint == "AKIA…WXYZ"
    stored = await scalar(database, "SELECT sealed FROM api_keys")
    assert all(half.encode() not in stored for half in PAIR)
    async with database.read() as tx:
        assert await api_keys.open_api_key(tx, VAULT, view.id) == PAIR


async def test_a_short_key_gets_no_hint(database):
    """A hint of a short key would be most of it."""
    view = await add(database, await add_user(database), ("shortkey", "secret"))
    assert view.api_key_hint == "…"


async def test_a_sealed_pair_is_worthless_in_another_row(database):
    """Whoever can write the database still cannot use one user's pair as another's."""
    victim, thief = await add_user(database), await add_user(database, "thief@example.com")
    stolen, own = await add(database, victim), await add(database, thief)
    async with database.begin() as tx:
        await tx.execute(
            text("UPDATE api_keys SET sealed = (SELECT sealed FROM api_keys WHERE id = :a) WHERE id = :b"),
            {"a": stolen.id, "b": own.id},
        )
    async with database.read() as tx:
        with pytest.raises(SecretUnreadable):
            await api_keys.open_api_key(tx, VAULT, own.id)


async def test_tenants_keys_do_not_exist_for_each_other(database):
    """Another's key is missing: to list, to read, to delete."""
    owner, other = await add_user(database), await add_user(database, "other@example.com")
    view = await add(database, owner)
    async with database.begin() as tx:
        assert await api_keys.list_api_keys(tx, owner) == [view]
        assert await api_keys.list_api_keys(tx, other) == []
        assert await api_keys.read_api_key(tx, owner, view.id) == view
        for forbidden in (api_keys.read_api_key, api_keys.delete_api_key):
            with pytest.raises(Missing):
                await forbidden(tx, other, view.id)


async def test_a_key_in_use_is_not_deleted(database):
    """While a bot uses it the key stays; then it can go, and is gone."""
    owner = await add_user(database)
    key = await add_api_key(database, owner)
    async with database.begin() as tx:
        bot = await bots.create_bot(tx, owner, new_bot(key))
    with pytest.raises(Refused):
        async with database.begin() as tx:
            await api_keys.delete_api_key(tx, owner, key)
    async with database.begin() as tx:
        await bots.delete_bot(tx, bot.state)
        await api_keys.delete_api_key(tx, owner, key)
    async with database.read() as tx:
        with pytest.raises(Missing):
            await api_keys.open_api_key(tx, VAULT, key)


async def test_keys_are_sealed_anew_after_a_rotation(database):
    """Resealing goes on until nothing is left of the older key, and changes no pair."""
    owner = await add_user(database)
    views = [await add(database, owner) for _ in range(3)]
    rotated = Vault(keys_from_secret("a new secret") | keys_from_secret("a secret of the tests, long enough"))
    async with database.begin() as tx:
        assert await api_keys.reseal_api_keys(tx, rotated, limit=2) == 2
        assert await api_keys.reseal_api_keys(tx, rotated, limit=2) == 1
        assert await api_keys.reseal_api_keys(tx, rotated, limit=2) == 0
    assert {row.sealed_with for row in await rows(database, "SELECT sealed_with FROM api_keys")} == {
        rotated.current
    }
    alone = Vault(keys_from_secret("a new secret"))
    async with database.read() as tx:
        assert [await api_keys.open_api_key(tx, alone, view.id) for view in views] == [PAIR] * 3
