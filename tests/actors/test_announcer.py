"""Word that Redis did not take is told again, the newest state of each bot."""

from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from botwarden.actors.announcer import AGAIN_AFTER_S, Announce, AnnouncerActor
from botwarden.persistence.broadcast import Broadcast, StateChanged
from botwarden.runtime.testing import run_actor
from botwarden.trading.bot import BotState
from chaos.line import line_to_redis
from tests.trading.examples import USER, running

pytestmark = pytest.mark.anyio


async def test_word_that_was_lost_is_told_again(redis_url):
    """While Redis is away states gather; when it is back each bot's newest is told, and none twice."""
    line, through = line_to_redis(redis_url)
    await line.open()
    teller, hearer = Broadcast(through(), prefix="again"), Broadcast(redis_url, prefix="again")
    heard: list[StateChanged] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hearer.run)
        await hearer.subscribe_user(USER, heard.extend, lambda _bot: None)
        surroundings: Any = SimpleNamespace(broadcast=teller)
        async with run_actor(lambda: AnnouncerActor(surroundings)) as stage:
            await line.cut()
            for version in (2, 3):
                stage.tell(Announce(states=[state_of(version)]))
            while teller.lost == 0:
                await anyio.lowlevel.checkpoint()
            await line.open()
            with anyio.fail_after(20):
                while not heard:
                    await stage.clock.advance(AGAIN_AFTER_S)
            stage.tell(Announce(states=[state_of(4)]))
            with anyio.fail_after(20):
                while len(heard) < 2:
                    await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    await teller.close()
    await hearer.close()
    await line.cut()
    assert [word.version for word in heard] == [3, 4]


def state_of(version: int) -> BotState:
    """Return a bot's state at that version."""
    return replace(running(), version=version)
