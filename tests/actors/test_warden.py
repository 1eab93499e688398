"""The root of a replica's actors: trading outlives what it can do without, and slots are given back last."""

from decimal import Decimal
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from sqlalchemy import text

from botwarden.actors.feed_mail import SignalGiven, Subject
from botwarden.actors.warden import WardenActor
from botwarden.persistence.tables import SLOT_COUNT
from botwarden.runtime import ChildSpec
from botwarden.trading.bot import Status
from botwarden.trading.decisions import Signal, StartRequested
from tests.actors.doors import Step
from tests.actors.house import PATIENCE_S, House
from tests.actors.life import PRICE, Life
from tests.persistence.examples import scalar

pytestmark = pytest.mark.anyio

HELD = "SELECT count(*) FROM slots WHERE replica_id = (SELECT max(id) FROM replicas)"
FREE = "SELECT count(*) FROM slots WHERE replica_id IS NULL"


async def appoint(house: House) -> tuple[Life, Any]:
    """Return a warden that has taken over everything, and the life whose surroundings it uses."""
    life = await house.begin()
    await house.lose(life)
    spec = ChildSpec(
        name="warden",
        start=lambda: WardenActor(life.surroundings, life.stage.system.tree),
        stop_within_s=30.0,
    )
    warden = (await life.stage.system.spawn(spec)).cell
    with anyio.fail_after(PATIENCE_S):
        while await scalar(house.database, HELD) != SLOT_COUNT:
            await step(house, warden)
    return life, warden


async def step(house: House, warden: Any, seconds: float = 0.1) -> None:
    """Let time pass, and every child of the warden finish what it does then."""
    await house.world.clock.advance(seconds)
    while any(child._task is not None for child in warden.children):
        await checkpoint()


def child(cell: Any, name: str) -> Any:
    """Return the living child of that name."""
    return next((it for it in cell.children if it.spec.name == name), None)


async def test_trading_goes_on_without_a_day_clock(house):
    """A day clock that crashes again and again is started again for ever, and nobody else is."""
    async with house.database.begin() as tx:
        await tx.execute(text("ALTER TABLE daily_resets RENAME TO lost_resets"))
    life, warden = await appoint(house)
    with anyio.fail_after(PATIENCE_S):
        while child(warden, "day-clock").restarts < 7:
            await step(house, warden, 1.0)
    assert {crash.name for crash in life.crashes} == {"day-clock"}
    assert warden.restarts == 0


async def test_slots_are_given_back_when_nobody_works_any_more(house):
    """At an orderly end the bots stop, the order under way is answered, and only then are slots released."""
    life, warden = await appoint(house)
    bot = await house.add_bot()
    await house.write(bot, StartRequested(at=house.world.clock.now()))
    with anyio.fail_after(PATIENCE_S):
        while (await house.state(bot)).status != Status.RUNNING:
            await step(house, warden)
    bots = child(warden, "bots")
    stop = life.doors.hold(Step.ANSWERED)
    buy = SignalGiven(signal=Signal.BUY, price_quote=Decimal(PRICE), subject=Subject.of(bot.config))
    child(bots, f"bot:{bot.config.id}").ref.tell(buy)
    await stop.meet()
    warden.request_stop()
    with anyio.fail_after(PATIENCE_S):
        await bots.ended()
        assert child(warden, "slot-keeper") is not None
        assert await scalar(house.database, HELD) == SLOT_COUNT
        stop.release()
        await warden.ended()
    assert await scalar(house.database, FREE) == SLOT_COUNT
    assert await scalar(house.database, "SELECT draining FROM replicas ORDER BY id DESC LIMIT 1")
    assert life.crashes == []
