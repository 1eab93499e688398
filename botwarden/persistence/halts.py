"""The account's emergency brake, and everyone's.

While one is on, no bot of the account starts or enters; exits go on. Putting one on waits for the
transactions that change states and every later one sees it, so none that looked before enters after. It
stays on until somebody takes it off, whatever is restarted meanwhile.
"""

from collections.abc import Collection
from datetime import datetime

import msgspec
from sqlalchemy import delete, or_, select
from sqlalchemy.dialects.postgresql import insert

from botwarden.persistence.database import Transaction
from botwarden.persistence.tables import halts
from botwarden.persistence.transitions import exclude_changes
from botwarden.trading.bot import UserId

#: The brake of all accounts.
EVERYONE = UserId(0)


class Halt(msgspec.Struct, frozen=True, kw_only=True):
    """A brake that is on."""

    user_id: UserId
    set_by: UserId
    set_at: datetime


async def set_halt(tx: Transaction, user_id: UserId, *, set_by: UserId) -> None:
    """Put the brake of the account (or of `EVERYONE`) on; one that is on stays as it is.

    Locks: keeps every change of a state out until the transaction ends. Raises `Locked`.
    """
    await exclude_changes(tx)
    await tx.execute(insert(halts).values(user_id=user_id, set_by=set_by).on_conflict_do_nothing())


async def clear_halt(tx: Transaction, user_id: UserId) -> bool:
    """Take the brake off; return whether it was on."""
    return (await tx.execute(delete(halts).where(halts.c.user_id == user_id))).rowcount > 0


async def read_halt(tx: Transaction, user_id: UserId) -> Halt | None:
    """Return the brake that holds this account: its own, else everyone's."""
    query = (
        select(halts)
        .where(or_(halts.c.user_id == user_id, halts.c.user_id == EVERYONE))
        .order_by(halts.c.user_id.desc())
        .limit(1)
    )
    row = (await tx.execute(query)).one_or_none()
    return None if row is None else Halt(**row._asdict())


async def halted_users(tx: Transaction, user_ids: Collection[UserId]) -> frozenset[UserId]:
    """Return which of the users are held, by their own brake or by everyone's."""
    rows = await tx.execute(select(halts.c.user_id).where(halts.c.user_id.in_([EVERYONE, *user_ids])))
    held = set(rows.scalars())
    return frozenset(user_ids) if EVERYONE in held else frozenset(held)
