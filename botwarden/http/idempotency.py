"""Idempotency-Key: whoever sends the same request twice gets the same answer, and one effect.

The answer is stored in the transaction of the effect; refusals that the effect met are answers, too. What
asks to be tried again (423, 429, 503) is not kept, and neither is anything that was wrong with the request
before its effect began: that is the same each time anyway.
"""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import anyio
from litestar import Request
from litestar.di import NamedDependency

from botwarden.errors import FieldError, Invalid, Missing, Refused, Stale, Unavailable
from botwarden.http.answers import Answer
from botwarden.http.auth import Asked
from botwarden.http.dependencies import HttpDeps
from botwarden.persistence import idempotency
from botwarden.persistence.database import Database, Transaction
from botwarden.persistence.idempotency import Replay, Running
from botwarden.trading.bot import UserId

HEADER = "idempotency-key"
_LONGEST_KEY = 255

#: Work of many transactions is held for dead when nothing was heard of it for so long.
_CLAIM = timedelta(seconds=15)
#: What an answer may take on its way, after the time that a request says it goes on for.
_GRACE_S = 5.0

#: Does something within a transaction, and says what is to be answered once that has committed.
Effect = Callable[[Transaction], Awaitable[Answer]]


class StillRunning(Refused):
    """The first request with this Idempotency-Key is still running."""

    retry_after_s = 1


class Once:
    """One unsafe request, with a key or without."""

    def __init__(self, database: Database, user_id: UserId, key: str | None, request_hash: bytes) -> None:
        self._database = database
        self._user_id = user_id
        self._key = key
        self._hash = request_hash

    async def run(self, effect: Effect) -> Answer:
        """Do it in a transaction, unless it was done before; return the answer of the first time."""
        async with self._database.begin() as tx:
            if self._key is None:
                return await effect(tx)
            known = await self._known(tx, self._key)
            if known is not None:
                return known
            answer = await _answered(tx, effect)
            await self._keep(tx, self._key, answer)
        return answer

    async def recall(self, *, claims: bool = False) -> Answer | None:
        """Return the answer of the first time, if there was one; else `claims` says that it is on its way.

        Before work that no transaction undoes, and before looking at what may have changed since.
        """
        if self._key is None:
            return None
        async with self._database.begin() as tx:
            known = await self._known(tx, self._key)
            if known is None and claims:
                await self._claim(tx, self._key)
        return known

    @asynccontextmanager
    async def undertake(self) -> AsyncIterator[Answer | None]:
        """Begin work of many transactions, unless it was done before: then yield the answer of that time.

        Others are told that it runs, as long as it says `go_on` every few seconds. It ends with `keep`, or
        fails and may be tried again at once.
        """
        known = await self.recall(claims=True)
        try:
            yield known
        except BaseException:
            if known is None:
                await self._release()
            raise

    async def go_on(self) -> None:
        """Say that the work still runs."""
        if self._key is not None:
            async with self._database.begin() as tx:
                await self._claim(tx, self._key)

    async def keep(self, answer: Answer) -> None:
        """Keep the answer of work that had no transaction of its own, or a better one."""
        if self._key is not None:
            async with self._database.begin() as tx:
                await self._keep(tx, self._key, answer)

    async def _known(self, tx: Transaction, key: str) -> Answer | None:
        match await idempotency.begin(tx, self._user_id, key, self._hash):
            case Replay(status=status, body=body, type=kind):
                return Answer(status=status, body=body, type=kind)
            case Running():
                raise StillRunning
            case _:
                return None

    async def _keep(self, tx: Transaction, key: str, answer: Answer) -> None:
        runs_on_for = timedelta(seconds=answer.runs_on_for_s + _GRACE_S) if answer.runs_on_for_s else None
        await idempotency.finish(
            tx,
            self._user_id,
            key,
            self._hash,
            status=answer.status,
            body=answer.body,
            type=answer.type,
            runs_on_for=runs_on_for,
        )

    async def _claim(self, tx: Transaction, key: str) -> None:
        await idempotency.claim(tx, self._user_id, key, self._hash, runs_on_for=_CLAIM)

    async def _release(self) -> None:
        """Free the key; what cannot be said now is said by time."""
        if self._key is None:
            return
        with anyio.CancelScope(shield=True), suppress(Unavailable):
            async with self._database.begin() as tx:
                await idempotency.release(tx, self._user_id, self._key)


async def _answered(tx: Transaction, effect: Effect) -> Answer:
    """Return the effect's answer; of one that is refused nothing stays but its refusal."""
    try:
        async with tx.begin_nested():
            return await effect(tx)
    except (Invalid, Missing, Refused, Stale) as refusal:
        return Answer.of_error(refusal)


async def provide_once(request: Asked, deps: NamedDependency[HttpDeps]) -> Once:
    """Return the request at hand. Raises `Invalid` for a key of another form."""
    key = request.headers.get(HEADER)
    if key is None:
        return Once(deps.database, request.user.user_id, None, b"")
    if not 1 <= len(key) <= _LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise Invalid(FieldError("Idempotency-Key", f"must be 1 to {_LONGEST_KEY} printable characters"))
    return Once(deps.database, request.user.user_id, key, await _hash(request))


async def _hash(request: Request[Any, Any, Any]) -> bytes:
    asked = [request.method, request.scope["path"], request.scope["query_string"].decode("latin-1")]
    digest = hashlib.sha256("\n".join(asked).encode())
    digest.update(b"\n" + await request.body())
    return digest.digest()
