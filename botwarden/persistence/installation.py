"""The installation's own word: part of every client order id, so that two installations never mix."""

from sqlalchemy import text

from botwarden.persistence.database import Transaction


async def read_tag(tx: Transaction) -> str:
    """Return the tag; the first migration made it."""
    return str((await tx.execute(text("SELECT tag FROM installation"))).scalar_one())


async def renew_tag(tx: Transaction) -> str:
    """Give the installation another tag, as a restore must: orders made since the dump are not its own."""
    # Six random digits, as the first migration takes them.
    renewed = "UPDATE installation SET tag = left(gen_random_uuid()::text, 6) RETURNING tag"
    return str((await tx.execute(text(renewed))).scalar_one())


async def read_setting(tx: Transaction, name: str) -> str:
    """Return a setting of the server, as this session sees it."""
    return str((await tx.execute(text("SELECT current_setting(:name)"), {"name": name})).scalar_one())
