"""API keys of the exchange: sealed in the database, opened only on the way to the exchange client.

A sealed pair is bound to its row and its user, so neither can be exchanged.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from botwarden.errors import Missing, Refused
from botwarden.persistence.database import Transaction, broken_constraint
from botwarden.persistence.errors import SecretUnreadable
from botwarden.persistence.tables import api_keys
from botwarden.persistence.vault import Sealed, Vault
from botwarden.trading.bot import ApiKeyId, UserId, Venue

#: A key must be this much longer than its hint.
_HINT_NEEDS = 16


class ApiKeyView(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of a key."""

    id: ApiKeyId
    label: str
    venue: Venue
    api_key_hint: str
    created_at: datetime


_VIEW = [api_keys.c[name] for name in ApiKeyView.__struct_fields__]


async def create_api_key(
    tx: Transaction, vault: Vault, user_id: UserId, *, label: str, venue: Venue, api_key: str, secret_key: str
) -> ApiKeyView:
    """Seal and store a key pair."""
    # The row's identity is sealed in, so it must be known first.
    next_id = await tx.execute(text("SELECT nextval(pg_get_serial_sequence('api_keys', 'id'))"))
    api_key_id = ApiKeyId(next_id.scalar_one())
    sealed = _seal(vault, api_key_id, user_id, (api_key, secret_key))
    result = await tx.execute(
        insert(api_keys)
        .values(
            id=api_key_id,
            user_id=user_id,
            label=label,
            venue=venue,
            api_key_hint=hint(api_key),
            sealed=sealed.blob,
            sealed_with=sealed.key_id,
        )
        .returning(*_VIEW)
    )
    return _view(result.one())


async def list_api_keys(tx: Transaction, user_id: UserId) -> list[ApiKeyView]:
    """Return the user's keys, in id order."""
    rows = await tx.execute(select(*_VIEW).where(api_keys.c.user_id == user_id).order_by(api_keys.c.id))
    return [_view(row) for row in rows]


async def read_api_key(tx: Transaction, user_id: UserId, api_key_id: ApiKeyId) -> ApiKeyView:
    """Return one of the user's keys. Raises `Missing`."""
    query = select(*_VIEW).where(api_keys.c.id == api_key_id, api_keys.c.user_id == user_id)
    row = (await tx.execute(query)).one_or_none()
    if row is None:
        raise Missing
    return _view(row)


async def delete_api_key(tx: Transaction, user_id: UserId, api_key_id: ApiKeyId) -> None:
    """Delete one of the user's keys. Raises `Missing`, or `Refused` while a bot uses it."""
    query = delete(api_keys).where(api_keys.c.id == api_key_id, api_keys.c.user_id == user_id)
    try:
        deleted = await tx.execute(query)
    except IntegrityError as error:
        if broken_constraint(error) == "fk_bot_configs_own_api_key":
            raise Refused("A bot uses this key.") from None
        raise
    if deleted.rowcount == 0:
        raise Missing


async def open_api_key(tx: Transaction, vault: Vault, api_key_id: ApiKeyId) -> tuple[str, str]:
    """Return key and secret in plain text: for the exchange client alone.

    Raises:
        Missing: there is no such key.
        SecretUnreadable: it cannot be decrypted.
    """
    query = select(api_keys).where(api_keys.c.id == api_key_id)
    row = (await tx.execute(query)).one_or_none()
    if row is None:
        raise Missing
    return _open(vault, row)


async def list_twins(
    tx: Transaction, vault: Vault, venue: Venue, api_key: str
) -> list[tuple[UserId, ApiKeyId]]:
    """Return every pair, whoever's, that was stored for this key of the venue."""
    query = select(api_keys).where(api_keys.c.venue == venue, api_keys.c.api_key_hint == hint(api_key))
    twins: list[tuple[UserId, ApiKeyId]] = []
    for row in await tx.execute(query.order_by(api_keys.c.id)):
        # Nothing trades with a pair that cannot be opened.
        with suppress(SecretUnreadable):
            if _open(vault, row)[0] == api_key:
                twins.append((UserId(row.user_id), ApiKeyId(row.id)))
    return twins


async def reseal_api_keys(tx: Transaction, vault: Vault, *, limit: int = 100) -> int:
    """Seal up to `limit` keys, that another key had sealed, with the current one; return how many.

    Raises:
        SecretUnreadable: one of them cannot be decrypted.
    """
    rows: Sequence[Row[Any]] = (
        await tx.execute(
            select(api_keys)
            .where(api_keys.c.sealed_with != vault.current)
            .order_by(api_keys.c.id)
            .limit(limit)
            .with_for_update(key_share=True)
        )
    ).all()
    for row in rows:
        sealed = _seal(vault, row.id, row.user_id, _open(vault, row))
        await tx.execute(
            update(api_keys)
            .where(api_keys.c.id == row.id)
            .values(sealed=sealed.blob, sealed_with=sealed.key_id)
        )
    return len(rows)


def hint(api_key: str) -> str:
    """Return enough of a key to tell it from others, or nothing of one that is short."""
    return f"{api_key[:4]}…{api_key[-4:]}" if len(api_key) >= _HINT_NEEDS else "…"


def _seal(vault: Vault, api_key_id: ApiKeyId, user_id: UserId, pair: tuple[str, str]) -> Sealed:
    return vault.seal(msgspec.json.encode(pair), row=_row(api_key_id, user_id))


def _open(vault: Vault, row: Row[Any]) -> tuple[str, str]:
    sealed = Sealed(key_id=row.sealed_with, blob=row.sealed)
    plain = vault.open(sealed, row=_row(row.id, row.user_id))
    return msgspec.json.decode(plain, type=tuple[str, str])


def _row(api_key_id: int, user_id: int) -> str:
    return f"api_keys/{api_key_id}/{user_id}"


def _view(row: Row[Any]) -> ApiKeyView:
    return ApiKeyView(**row._asdict() | {"venue": Venue(row.venue)})
