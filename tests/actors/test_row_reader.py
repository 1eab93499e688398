"""Group reading: what gathers is one transaction, and nobody pays for another's broken row."""

from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from botwarden.actors import row_reader
from botwarden.actors.row_reader import Read, RowReaderActor
from botwarden.errors import Unavailable
from botwarden.runtime.testing import run_actor
from botwarden.trading.bot import BotId
from tests.persistence.examples import add_bots

pytestmark = pytest.mark.anyio


class CountedDatabase:
    """The real door, which counts its transactions, and holds the first or turns everybody away."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self.transactions = 0
        self.go_on = anyio.Event()
        self.is_away = False

    @asynccontextmanager
    async def begin(self):
        """As the database does."""
        self.transactions += 1
        if self.is_away:
            raise Unavailable
        await self.go_on.wait()
        async with self._database.begin() as tx:
            yield tx


@pytest.fixture
async def counted(database):
    return CountedDatabase(database)


@pytest.fixture
async def reader(counted):
    async with run_actor(lambda: RowReaderActor(counted), name="reader") as stage:
        yield stage


async def read(reader, bot_ids) -> list[Any]:
    """Ask for all of them at once, and return what each was answered."""
    answers: list[Any] = [None] * len(bot_ids)

    async def one(place: int, bot_id: BotId) -> None:
        try:
            answers[place] = await reader.ask(lambda reply: Read(bot_id=bot_id, reply=reply))
        except (Unavailable, ValueError) as failure:
            answers[place] = failure

    async with anyio.create_task_group() as group:
        for place, bot_id in enumerate(bot_ids):
            group.start_soon(one, place, bot_id)
    return answers


async def test_many_who_read_at_once_take_one_connection(reader, counted, database):
    """While the first reads, the others gather; each gets its own row, and who has none hears that."""
    ids = [bot.config.id for bot in await add_bots(database, 9)]
    async with anyio.create_task_group() as group:

        async def check() -> None:
            answers = await read(reader, [*ids, BotId(999)])
            assert [row and row.config.id for row in answers] == [*ids, None]

        group.start_soon(check)
        while not counted.transactions:
            await checkpoint()
        counted.go_on.set()
    assert counted.transactions <= 2


async def test_who_cannot_read_is_told_so(reader, counted):
    """Without a database the question fails, and the reader lives on."""
    counted.is_away = True
    answers = await read(reader, [BotId(1), BotId(2)])
    assert [type(answer) for answer in answers] == [Unavailable, Unavailable]
    assert not reader.crashes


async def test_a_broken_row_fails_its_own_bot(reader, counted, database, monkeypatch):
    """One row that cannot be understood is one bot's trouble."""
    whole, broken, other = [bot.config.id for bot in await add_bots(database, 3)]
    counted.go_on.set()
    read_rows = row_reader.read_rows

    async def brittle(database: Any, bot_ids: Any) -> Any:
        if broken in bot_ids:
            raise ValueError("nobody understands this row")
        return await read_rows(database, bot_ids)

    monkeypatch.setattr(row_reader, "read_rows", brittle)
    answers = await read(reader, [whole, broken, other])
    assert [answers[0].config.id, type(answers[1]), answers[2].config.id] == [whole, ValueError, other]
    assert not reader.crashes
