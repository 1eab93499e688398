"""The audit trail's partitions: made ahead, dropped whole, never in the way."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import text

from botwarden.persistence.events import drop_partitions, ensure_partitions
from tests.persistence.examples import rows, scalar

pytestmark = pytest.mark.anyio

FAR = date(2031, 5, 6)


async def add_event(database, at: datetime) -> None:
    async with database.begin() as tx:
        await tx.execute(
            text("""INSERT INTO bot_events (at, bot_id, user_id, version, cause, kind, changes)
                    VALUES (:at, 1, 1, 1, 'api', 'x', '{}')"""),
            {"at": at},
        )


async def where(database) -> set[str]:
    return {
        row.name for row in await rows(database, "SELECT tableoid::regclass::text AS name FROM bot_events")
    }


async def test_a_partition_takes_over_what_went_to_the_default(database):
    """Events of a day without a partition are kept, and move to their own once it is made."""
    noon = datetime(FAR.year, FAR.month, FAR.day, 12, tzinfo=UTC)
    await add_event(database, noon)
    await add_event(database, noon + timedelta(days=1))
    assert await where(database) == {"bot_events_default"}
    async with database.begin() as tx:
        assert await ensure_partitions(tx, [FAR, FAR]) == [FAR]
        assert await ensure_partitions(tx, [FAR]) == []
    assert await where(database) == {"bot_events_20310506", "bot_events_default"}
    await add_event(database, noon + timedelta(hours=11, minutes=59))
    assert await scalar(database, "SELECT count(*) FROM bot_events_20310506") == 2


async def test_partitions_end_at_midnight_utc(database):
    """A day's partition holds its first and its last microsecond, and nothing else."""
    async with database.begin() as tx:
        await ensure_partitions(tx, [FAR])
    first = datetime(FAR.year, FAR.month, FAR.day, tzinfo=UTC)
    for at in (first, first + timedelta(days=1, microseconds=-1)):
        await add_event(database, at)
    for at in (first - timedelta(microseconds=1), first + timedelta(days=1)):
        await add_event(database, at)
    assert await scalar(database, "SELECT count(*) FROM bot_events_20310506") == 2
    assert await scalar(database, "SELECT count(*) FROM bot_events_default") == 2


async def test_old_days_are_dropped_whole(database):
    """Partitions of days before the limit go, the default one and the limit's own day stay."""
    days = [FAR + timedelta(days=ahead) for ahead in range(3)]
    async with database.begin() as tx:
        await ensure_partitions(tx, days)
        assert days[:2] == [day for day in await drop_partitions(tx, older_than=days[2]) if day >= FAR]
        assert await drop_partitions(tx, older_than=days[2]) == []
    await add_event(database, datetime(2031, 5, 8, tzinfo=UTC))
    await add_event(database, datetime(2031, 5, 6, tzinfo=UTC))
    assert await where(database) == {"bot_events_20310508", "bot_events_default"}


async def test_the_present_days_have_partitions(database):
    """The migration makes those around today."""
    await add_event(database, datetime.now(UTC))
    assert await where(database) == {datetime.now(UTC).strftime("bot_events_%Y%m%d")}
