"""One world for the session, a house in it for each test."""

from collections.abc import AsyncIterator

import pytest

from tests.actors.house import House, open_house
from tests.actors.world import World, open_world


@pytest.fixture(scope="session")
async def world(anyio_backend, tmp_path_factory) -> AsyncIterator[World]:  # noqa: ARG001 - it lives on its loop
    """A paper exchange whose market stands still."""
    async with open_world(tmp_path_factory.mktemp("venue")) as world:
        yield world


@pytest.fixture
async def house(world, database, database_url, redis_url) -> AsyncIterator[House]:
    """A house of this test's own."""
    async with open_house(database, database_url, redis_url, world) as house:
        yield house
