"""The audit trail's partitions: one a day, made ahead and dropped whole.

Events of a day without a partition go to the default one, and move to their own when it is made: nothing
is ever refused for want of a partition.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import text

from botwarden.persistence.database import Transaction

_NAME = "bot_events_{:%Y%m%d}"
_LOCK_KEY = 0x6576_656E_7473


async def ensure_partitions(tx: Transaction, days: Sequence[date]) -> list[date]:
    """Make the partitions of the days (UTC) that have none; return those days.

    Locks: the default partition, for as long as the transaction lasts, if one is made.
    """
    await tx.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})"))
    known = set(await _partitions(tx))
    missing = [day for day in sorted(set(days)) if _name(day) not in known]
    for day in missing:
        await _make(tx, day)
    return missing


async def todays_date(tx: Transaction) -> date:
    """Return the UTC date by the database's clock, which is the one that stamps events."""
    day: date = (await tx.execute(_TODAY)).scalar_one()
    return day


async def drop_partitions(tx: Transaction, older_than: date) -> list[date]:
    """Drop the partitions of days before `older_than`; return those days."""
    days = sorted(day for name in await _partitions(tx) if (day := _day(name)) is not None)
    old = [day for day in days if day < older_than]
    for day in old:
        await tx.execute(text(f"DROP TABLE {_name(day)}"))
    return old


async def _make(tx: Transaction, day: date) -> None:
    """Make a table, move what the default partition has of the day, then attach it.

    Attaching, unlike creating a partition in place, does not lock out those who write events of other days.
    """
    name, bounds = _name(day), {"since": _midnight(day), "until": _midnight(day + timedelta(days=1))}
    await tx.execute(text(f"CREATE TABLE {name} (LIKE bot_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"))
    await tx.execute(
        text(f"""
            WITH moved AS (
                DELETE FROM bot_events_default WHERE at >= :since AND at < :until RETURNING *
            )
            INSERT INTO {name} SELECT * FROM moved
        """),  # noqa: S608 - the name is made of a date
        bounds,
    )
    await tx.execute(
        text(
            f"ALTER TABLE bot_events ATTACH PARTITION {name}"
            f" FOR VALUES FROM ('{bounds['since'].isoformat()}') TO ('{bounds['until'].isoformat()}')"
        )
    )


async def _partitions(tx: Transaction) -> list[str]:
    return list((await tx.execute(_PARTITIONS)).scalars())


def _name(day: date) -> str:
    return _NAME.format(day)


def _day(name: str) -> date | None:
    digits = name.removeprefix("bot_events_")
    return datetime.strptime(digits, "%Y%m%d").replace(tzinfo=UTC).date() if digits.isdigit() else None


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


_TODAY = text("SELECT (clock_timestamp() AT TIME ZONE 'utc')::date")
_PARTITIONS = text("""
    SELECT child.relname FROM pg_inherits
    JOIN pg_class child ON child.oid = inhrelid
    WHERE inhparent = CAST('bot_events' AS regclass)
""")
