"""The same key and request get the same answer, once there is one."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from botwarden.errors import Invalid
from botwarden.persistence import idempotency
from botwarden.persistence.idempotency import Fresh, Replay, Running
from tests.persistence.examples import add_user, scalar

pytestmark = pytest.mark.anyio

ANSWER = {"status": 201, "body": b'{"id": 1}', "type": "application/json"}


async def test_a_finished_request_is_answered_again(database):
    """After the effect the same request gets the stored answer, and another's key is another key."""
    owner, other = await add_user(database), await add_user(database, "other@example.com")
    async with database.begin() as tx:
        assert await idempotency.begin(tx, owner, "key", b"hash") == Fresh()
        await idempotency.finish(tx, owner, "key", b"hash", **ANSWER)
    async with database.begin() as tx:
        assert await idempotency.begin(tx, owner, "key", b"hash") == Replay(**ANSWER)
        assert await idempotency.begin(tx, owner, "another", b"hash") == Fresh()
        assert await idempotency.begin(tx, other, "key", b"hash") == Fresh()


async def test_a_key_is_for_one_request(database):
    """The same key with another request is refused by name."""
    owner = await add_user(database)
    async with database.begin() as tx:
        await idempotency.finish(tx, owner, "key", b"hash", **ANSWER)
    async with database.begin() as tx:
        with pytest.raises(Invalid, match="Idempotency-Key"):
            await idempotency.begin(tx, owner, "key", b"other hash")


async def test_the_second_of_two_at_the_same_time_is_told_to_wait(database):
    """While the first attempt runs, the second does nothing."""
    owner = await add_user(database)
    async with database.begin() as first, database.begin() as second:
        assert await idempotency.begin(first, owner, "key", b"hash") == Fresh()
        assert await idempotency.begin(second, owner, "key", b"hash") == Running()


async def test_an_attempt_that_died_leaves_nothing(database):
    """An effect that was undone can be tried again at once."""
    owner = await add_user(database)
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - what precedes cannot raise this
        async with database.begin() as tx:
            await idempotency.begin(tx, owner, "key", b"hash")
            await idempotency.finish(tx, owner, "key", b"hash", **ANSWER)
            raise ZeroDivisionError
    async with database.begin() as tx:
        assert await idempotency.begin(tx, owner, "key", b"hash") == Fresh()


async def test_a_claim_outlives_its_transaction_and_not_its_time(database):
    """Work of many transactions holds its key between them; when it falls silent, another may begin."""
    owner = await add_user(database)
    for seconds, found in ((60, Running()), (0, Fresh())):
        async with database.begin() as tx:
            await idempotency.claim(tx, owner, "key", b"hash", runs_on_for=timedelta(seconds=seconds))
        async with database.begin() as tx:
            assert await idempotency.begin(tx, owner, "key", b"hash") == found
    async with database.begin() as tx:
        await idempotency.claim(tx, owner, "key", b"hash", runs_on_for=timedelta(seconds=60))
        with pytest.raises(Invalid, match="Idempotency-Key"):
            await idempotency.begin(tx, owner, "key", b"other hash")
        await idempotency.release(tx, owner, "key")
        assert await idempotency.begin(tx, owner, "key", b"hash") == Fresh()


async def test_an_answer_that_may_get_better_waits_for_it(database):
    """It is answered again when its attempt has ended, or was not heard of in time; no release loses it."""
    owner = await add_user(database)
    for seconds, found in ((60, Running()), (0, Replay(**ANSWER))):
        async with database.begin() as tx:
            runs = timedelta(seconds=seconds)
            await idempotency.finish(tx, owner, "key", b"hash", **ANSWER, runs_on_for=runs)
            await idempotency.release(tx, owner, "key")
            assert await idempotency.begin(tx, owner, "key", b"hash") == found
    async with database.begin() as tx:
        await idempotency.finish(tx, owner, "key", b"hash", **ANSWER)
        assert await idempotency.begin(tx, owner, "key", b"hash") == Replay(**ANSWER)


async def test_answers_are_kept_for_a_day(database):
    """After 24 hours the key is free again, purged or not."""
    owner = await add_user(database)
    async with database.begin() as tx:
        await idempotency.finish(tx, owner, "key", b"hash", **ANSWER)
        await idempotency.finish(tx, owner, "young", b"hash", **ANSWER)
        await tx.execute(
            text("UPDATE idempotency_keys SET created_at = now() - interval '24 hours' WHERE key = 'key'")
        )
    async with database.begin() as tx:
        assert await idempotency.begin(tx, owner, "key", b"another") == Fresh()
        await idempotency.finish(tx, owner, "key", b"another", **ANSWER)
        assert await idempotency.begin(tx, owner, "key", b"another") == Replay(**ANSWER)
        await tx.execute(
            text("UPDATE idempotency_keys SET created_at = now() - interval '25 hours' WHERE key = 'key'")
        )
        assert await idempotency.purge(tx) == 1
    assert await scalar(database, "SELECT count(*) FROM idempotency_keys") == 1
