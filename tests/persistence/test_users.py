"""Accounts, sessions and passwords."""

from datetime import UTC, datetime, timedelta

import pytest

from botwarden.errors import Refused
from botwarden.persistence import users
from botwarden.persistence.passwords import hash_password, needs_rehash, verify_password
from tests.persistence.examples import add_user, scalar

pytestmark = pytest.mark.anyio

SOON = datetime.now(UTC) + timedelta(hours=1)


async def test_an_address_belongs_to_one_account(database):
    """Addresses are the same in any case."""
    owner = await add_user(database, "Owner@Example.com")
    with pytest.raises(Refused):
        await add_user(database, "owner@example.COM")
    async with database.read() as tx:
        found = await users.find_user_by_email(tx, "OWNER@example.com")
        assert found is not None
        assert (found.id, found.email, found.role) == (owner, "owner@example.com", "user")
        assert await users.read_user(tx, owner) == found
        assert await users.find_user_by_email(tx, "nobody@example.com") is None
        assert await users.list_users(tx) == [found]
        assert await users.count_users(tx) == 1


async def test_a_session_stands_for_its_user_until_it_ends(database):
    """A token is good until it expires, is deleted, or its user is disabled."""
    owner = await add_user(database)
    async with database.begin() as tx:
        await users.create_session(tx, owner, b"good", SOON)
        await users.create_session(tx, owner, b"old", datetime.now(UTC) - timedelta(seconds=1))
        found = await users.find_session(tx, b"good")
        assert found is not None
        assert (found.user_id, found.role, found.expires_at) == (owner, "user", SOON)
        assert await users.find_session(tx, b"old") is None
        assert await users.find_session(tx, b"unknown") is None
        assert await users.purge_sessions(tx) == 1
        assert await users.delete_session(tx, b"good")
        assert not await users.delete_session(tx, b"good")
        assert await users.find_session(tx, b"good") is None


async def test_a_changed_password_ends_every_other_session(database):
    """All tokens but the one that asked are returned, to be called dead everywhere."""
    owner = await add_user(database)
    async with database.begin() as tx:
        for token in (b"one", b"two", b"three"):
            await users.create_session(tx, owner, token, SOON)
        await users.set_password(tx, owner, "another hash")
        assert sorted(await users.delete_sessions(tx, owner, keep=b"two")) == [b"one", b"three"]
        assert await users.find_session(tx, b"two") is not None
    assert await scalar(database, "SELECT password_hash FROM users") == "another hash"


async def test_a_disabled_user_has_no_sessions(database):
    """Disabling ends the sessions, and one that is made all the same is good for nothing."""
    owner = await add_user(database)
    async with database.begin() as tx:
        await users.create_session(tx, owner, b"one", SOON)
        assert await users.set_disabled(tx, owner, is_disabled=True) == [b"one"]
        await users.create_session(tx, owner, b"two", SOON)
        assert await users.find_session(tx, b"two") is None
        assert await users.set_disabled(tx, owner, is_disabled=False) == []
        assert await users.find_session(tx, b"two") is not None
        await users.set_role(tx, owner, "admin")
        found = await users.find_session(tx, b"two")
        assert found is not None
        assert found.role == "admin"


async def test_passwords_are_verified_and_never_stored():
    """Only the right password is right; without an account none is."""
    stored = await hash_password("correct horse")
    assert stored.startswith("$argon2id$")
    assert "correct horse" not in stored
    assert await verify_password(stored, "correct horse")
    assert not await verify_password(stored, "wrong horse")
    assert not await verify_password(None, "nobody's password")
    assert not await verify_password("no hash at all", "x")
    assert not needs_rehash(stored)
    assert stored != await hash_password("correct horse")
