"""Bearer tokens: opaque random words of which only the hash is stored.

A token that is dead is dead at once on this replica, and everywhere as soon as the word of it is heard. So
what was verified is remembered only while word is heard, and only for seconds.
"""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Iterable, Sequence

from litestar.datastructures import Cookie

from botwarden.persistence import users
from botwarden.persistence.broadcast import Broadcast
from botwarden.persistence.database import Database
from botwarden.persistence.users import SessionUser
from botwarden.runtime import Clock

COOKIE = "botwarden"

#: A verified token is believed for so long.
_REMEMBERED_FOR_S = 5.0
_MOST_REMEMBERED = 10_000


def new_token() -> str:
    """Return a token of 256 random bits."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> bytes:
    """Return what is stored of a token."""
    return hashlib.sha256(token.encode()).digest()


def token_cookie(token: str, *, max_age_s: int, is_secure: bool) -> Cookie:
    """Return the cookie that carries a token; an empty one that has expired takes it away."""
    return Cookie(
        COOKIE, value=token, path="/", max_age=max_age_s, httponly=True, samesite="lax", secure=is_secure
    )


class Sessions:
    """Whom tokens stand for."""

    def __init__(self, database: Database, broadcast: Broadcast, clock: Clock) -> None:
        self._database = database
        self._broadcast = broadcast
        self._clock = clock
        self._verified: OrderedDict[bytes, tuple[SessionUser, float]] = OrderedDict()
        #: Grows with each revocation: a session that was read before one is not believed after it.
        self._revocations = 0

    async def attend(self) -> None:
        """Hear of revocations from now on."""
        self._broadcast.on_gap(self.forget_all)
        await self._broadcast.on_revoked(self.forget)

    async def find(self, token: str) -> SessionUser | None:
        """Return whom the token stands for now. Raises `Unavailable`."""
        token_hash = hash_token(token)
        known = self._remembered(token_hash) or await self._read(token_hash)
        if known is None or known.expires_at <= self._clock.now():
            return None
        return known

    async def revoke(self, token_hashes: Sequence[bytes]) -> None:
        """Make tokens that the database forgot unknown here at once, and tell everyone."""
        self.forget(token_hashes)
        await self._broadcast.publish_revoked(token_hashes)

    def forget(self, token_hashes: Iterable[bytes]) -> None:
        """Verify these tokens anew."""
        self._revocations += 1
        for token_hash in token_hashes:
            self._verified.pop(token_hash, None)

    def forget_all(self) -> None:
        """Verify every token anew."""
        self._revocations += 1
        self._verified.clear()

    async def _read(self, token_hash: bytes) -> SessionUser | None:
        """Return the session and remember it; what a revocation may have overtaken is read again."""
        revocations = None
        known = None
        while revocations != self._revocations:
            revocations = self._revocations
            async with self._database.read() as tx:
                known = await users.find_session(tx, token_hash)
        if known is not None:
            self._remember(known)
        return known

    def _remembered(self, token_hash: bytes) -> SessionUser | None:
        if not self._broadcast.connected:
            return None
        known = self._verified.get(token_hash)
        if known is None or known[1] <= self._clock.monotonic():
            return None
        self._verified.move_to_end(token_hash)
        return known[0]

    def _remember(self, session: SessionUser) -> None:
        self._verified[session.token_hash] = (session, self._clock.monotonic() + _REMEMBERED_FOR_S)
        self._verified.move_to_end(session.token_hash)
        while len(self._verified) > _MOST_REMEMBERED:
            self._verified.popitem(last=False)
