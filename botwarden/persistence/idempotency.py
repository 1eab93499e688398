"""The same key and request get the same answer for a day.

    begin ──▶ Fresh ──▶ the effect ──▶ finish   all in one transaction
          ──▶ Replay    answer this again
          ──▶ Running   the first attempt has not ended

The answer is stored by the transaction of the effect itself: both are there, or neither is. An attempt that
died leaves nothing behind, because what says that it runs is a lock of its transaction.

What takes more than one transaction says beside its key that it runs, for some seconds at a time:

    begin ──▶ Fresh ──▶ claim, commit ──▶ the effect, claiming again in between ──▶ finish
                                      ──▶ release, when it failed
"""

from datetime import timedelta
from hashlib import blake2b

import msgspec
from sqlalchemy import text

from botwarden.errors import FieldError, Invalid
from botwarden.persistence.database import Transaction
from botwarden.trading.bot import UserId

#: How long an answer is kept.
KEPT_FOR = timedelta(hours=24)


class Fresh(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody has asked this before: do it, and `finish` in the same transaction."""


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """It has been done: this was the answer."""

    status: int
    body: bytes
    #: Media type.
    type: str


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """The first attempt is running now: ask again in a moment."""


async def begin(tx: Transaction, user_id: UserId, key: str, request_hash: bytes) -> Fresh | Replay | Running:
    """Say what to do with a request that carries an idempotency key.

    Locks: the key's advisory lock until the transaction ends, before anything else.

    Raises:
        Invalid: the key was used for another request.
    """
    locked = await tx.execute(_LOCK, {"lock": _lock_key(user_id, key)})
    if not locked.scalar_one():
        return Running()
    row = (await tx.execute(_FIND, {"user_id": user_id, "key": key, "kept_for": KEPT_FOR})).one_or_none()
    if row is None:
        return Fresh()
    if row.request_hash != request_hash:
        raise Invalid(FieldError("Idempotency-Key", "was used for another request"))
    if row.runs:
        return Running()
    return Replay(status=row.response_status, body=row.response_body, type=row.response_type)


async def finish(
    tx: Transaction,
    user_id: UserId,
    key: str,
    request_hash: bytes,
    *,
    status: int,
    body: bytes,
    type: str,  # noqa: A002 - as HTTP calls it
    runs_on_for: timedelta | None = None,
) -> None:
    """Keep the answer, in the transaction of the effect.

    With `runs_on_for` the attempt may find a better one within this time, and only then is it answered again.
    """
    await tx.execute(
        _KEEP,
        {
            "user_id": user_id,
            "key": key,
            "request_hash": request_hash,
            "status": status,
            "body": body,
            "type": type,
            "runs_on_for": runs_on_for,
        },
    )


async def claim(
    tx: Transaction, user_id: UserId, key: str, request_hash: bytes, *, runs_on_for: timedelta
) -> None:
    """Say that the attempt runs, after this transaction too.

    If it takes longer it says so again, before the time is over.
    """
    values = {"user_id": user_id, "key": key, "request_hash": request_hash, "runs_on_for": runs_on_for}
    await tx.execute(_KEEP, values | {"status": None, "body": None, "type": None})


async def release(tx: Transaction, user_id: UserId, key: str) -> None:
    """Take a claim back: the attempt ended without an answer, and another may begin."""
    await tx.execute(_RELEASE, {"user_id": user_id, "key": key})


async def purge(tx: Transaction) -> int:
    """Forget answers that were kept long enough; return how many."""
    return (await tx.execute(_PURGE, {"kept_for": KEPT_FOR})).rowcount


def _lock_key(user_id: UserId, key: str) -> int:
    digest = blake2b(f"idempotency:{user_id}:{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


_LOCK = text("SELECT pg_try_advisory_xact_lock(:lock)")
_FIND = text("""
    SELECT request_hash, response_status, response_body, response_type,
           coalesce(running_until > clock_timestamp(), false) AS runs
    FROM idempotency_keys
    WHERE user_id = :user_id AND key = :key
      AND (response_status IS NOT NULL OR running_until > clock_timestamp())
      AND created_at > clock_timestamp() - CAST(:kept_for AS interval)
""")
_KEEP = text("""
    INSERT INTO idempotency_keys
        (user_id, key, request_hash, response_status, response_body, response_type, created_at, running_until)
    VALUES (:user_id, :key, :request_hash, :status, :body, :type, clock_timestamp(),
            clock_timestamp() + CAST(:runs_on_for AS interval))
    ON CONFLICT (user_id, key) DO UPDATE SET
        request_hash = excluded.request_hash, response_status = excluded.response_status,
        response_body = excluded.response_body, response_type = excluded.response_type,
        created_at = excluded.created_at, running_until = excluded.running_until
""")
_RELEASE = text(
    "DELETE FROM idempotency_keys WHERE user_id = :user_id AND key = :key AND response_status IS NULL"
)
_PURGE = text("DELETE FROM idempotency_keys WHERE created_at <= now() - CAST(:kept_for AS interval)")
