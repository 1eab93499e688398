"""Users and their sessions.

A session is known by the hash of its token only; one that has expired, or whose user is disabled, is as
good as none.
"""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from botwarden.errors import Missing, Refused
from botwarden.persistence.database import Transaction, broken_constraint
from botwarden.persistence.tables import sessions, users
from botwarden.trading.bot import UserId


class User(msgspec.Struct, frozen=True, kw_only=True):
    """An account."""

    id: UserId
    #: Lower case.
    email: str
    password_hash: str
    #: `user` or `admin`.
    role: str
    is_disabled: bool
    created_at: datetime


class SessionUser(msgspec.Struct, frozen=True, kw_only=True):
    """Who a token stands for."""

    user_id: UserId
    email: str
    role: str
    created_at: datetime
    token_hash: bytes
    expires_at: datetime


async def create_user(tx: Transaction, email: str, password_hash: str, role: str = "user") -> User:
    """Create an account. Raises `Refused` when the address is taken."""
    values = {"email": email.lower(), "password_hash": password_hash, "role": role}
    try:
        row = (await tx.execute(insert(users).values(**values).returning(users))).one()
    except IntegrityError as error:
        if broken_constraint(error) == "uq_users_email":
            raise Refused("There is an account with this address already.") from None
        raise
    return _user(row)


async def find_user_by_email(tx: Transaction, email: str) -> User | None:
    """Return the account with this address in any case, disabled ones too."""
    row = (await tx.execute(select(users).where(users.c.email == email.lower()))).one_or_none()
    return None if row is None else _user(row)


async def read_user(tx: Transaction, user_id: UserId) -> User | None:
    """Return the account."""
    row = (await tx.execute(select(users).where(users.c.id == user_id))).one_or_none()
    return None if row is None else _user(row)


async def lock_user(tx: Transaction, user_id: UserId) -> User:
    """Return the account with its row locked until the transaction ends. Raises `Missing`."""
    query = select(users).where(users.c.id == user_id).with_for_update(key_share=True)
    row = (await tx.execute(query)).one_or_none()
    if row is None:
        raise Missing
    return _user(row)


async def list_users(tx: Transaction) -> list[User]:
    """Return every account, in id order."""
    return [_user(row) for row in await tx.execute(select(users).order_by(users.c.id))]


async def count_users(tx: Transaction) -> int:
    """Return how many accounts there are."""
    return int((await tx.execute(select(func.count()).select_from(users))).scalar_one())


async def set_password(tx: Transaction, user_id: UserId, password_hash: str) -> None:
    """Change the stored hash."""
    await tx.execute(update(users).where(users.c.id == user_id).values(password_hash=password_hash))


async def set_disabled(tx: Transaction, user_id: UserId, *, is_disabled: bool) -> list[bytes]:
    """Disable an account or enable it again; return the token hashes of the sessions that ended."""
    await tx.execute(update(users).where(users.c.id == user_id).values(is_disabled=is_disabled))
    return await delete_sessions(tx, user_id) if is_disabled else []


async def set_role(tx: Transaction, user_id: UserId, role: str) -> None:
    """Make somebody `admin` or `user`."""
    await tx.execute(update(users).where(users.c.id == user_id).values(role=role))


async def create_session(tx: Transaction, user_id: UserId, token_hash: bytes, expires_at: datetime) -> None:
    """Let the token with this hash stand for the user until `expires_at`."""
    await tx.execute(insert(sessions).values(user_id=user_id, token_hash=token_hash, expires_at=expires_at))


async def find_session(tx: Transaction, token_hash: bytes) -> SessionUser | None:
    """Return whom the token stands for, if it has not expired and its user is not disabled."""
    row = (await tx.execute(_FIND_SESSION, {"token_hash": token_hash})).one_or_none()
    return None if row is None else SessionUser(**row._asdict())


async def delete_session(tx: Transaction, token_hash: bytes) -> bool:
    """End a session; return whether there was one."""
    result = await tx.execute(delete(sessions).where(sessions.c.token_hash == token_hash))
    return result.rowcount > 0


async def delete_sessions(tx: Transaction, user_id: UserId, keep: bytes | None = None) -> list[bytes]:
    """End every session of the user, but the one to keep; return the token hashes of those that ended."""
    query = delete(sessions).where(sessions.c.user_id == user_id)
    if keep is not None:
        query = query.where(sessions.c.token_hash != keep)
    return list((await tx.execute(query.returning(sessions.c.token_hash))).scalars())


async def purge_sessions(tx: Transaction) -> int:
    """Delete sessions that have expired; return how many."""
    return (await tx.execute(delete(sessions).where(sessions.c.expires_at <= func.now()))).rowcount


def _user(row: Any) -> User:
    return User(**row._asdict())


_FIND_SESSION = (
    select(
        users.c.id.label("user_id"),
        users.c.email,
        users.c.role,
        users.c.created_at,
        sessions.c.token_hash,
        sessions.c.expires_at,
    )
    .join(users, users.c.id == sessions.c.user_id)
    .where(
        sessions.c.token_hash == bindparam("token_hash"),
        sessions.c.expires_at > func.now(),
        ~users.c.is_disabled,
    )
)
