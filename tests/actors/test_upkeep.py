"""Upkeep drops what is old, and nothing that only a wrong clock calls old."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from botwarden.actors.upkeep import UpkeepActor
from botwarden.persistence.events import ensure_partitions, todays_date
from botwarden.runtime.testing import FakeClock, run_actor
from tests.persistence.examples import scalar

pytestmark = pytest.mark.anyio

KEEP_DAYS = 30

PARTITION = "SELECT count(*) FROM pg_class WHERE relname = 'bot_events_{:%Y%m%d}'"


async def test_a_clock_that_jumped_ahead_costs_no_event(database):
    """A process whose clock shows another year keeps the days that are young by the database's clock."""
    async with database.begin() as tx:
        today = await todays_date(tx)
        old, young = today - timedelta(days=KEEP_DAYS + 1), today - timedelta(days=KEEP_DAYS)
        await ensure_partitions(tx, [old, young])
    clock = FakeClock()
    clock.jump(timedelta(days=3650))
    around: Any = SimpleNamespace(database=database, rules=SimpleNamespace(keep_events_days=KEEP_DAYS))
    async with run_actor(lambda: UpkeepActor(around), clock=clock) as stage:
        while not stage.ref.cell.handled or stage.ref.cell._task is not None:
            await checkpoint()
    assert await scalar(database, PARTITION.format(old)) == 0
    assert await scalar(database, PARTITION.format(young)) == 1
