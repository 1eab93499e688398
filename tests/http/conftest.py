"""The whole API, two members of it, and a bot.

Members are strangers to each other, so one server serves the tests of the whole session; what changes the
server itself takes `own_api`.
"""

from collections.abc import AsyncIterator

import pytest

from botwarden.persistence.database import Database
from tests.conftest import TEMPLATE
from tests.http.api import Api, Member, open_api, open_deps


@pytest.fixture(scope="session")
async def api(clerk, servers) -> AsyncIterator[Api]:
    """The API on a real server."""
    await clerk.execute(f"CREATE DATABASE shared_api TEMPLATE {TEMPLATE}")
    database = Database.connect(clerk.url("shared_api"))
    async with open_deps(database, servers.redis_url) as deps, open_api(deps) as api:
        api.redis_url = servers.redis_url
        yield api
    await database.close()


@pytest.fixture
async def own_api(database, redis_url) -> AsyncIterator[Api]:
    """An API of this test's own."""
    async with open_deps(database, redis_url) as deps, open_api(deps) as api:
        yield api


@pytest.fixture
async def user(api) -> AsyncIterator[Member]:
    """Somebody who is logged in."""
    member = await api.join()
    yield member
    await member.client.aclose()


@pytest.fixture
async def other_user(api) -> AsyncIterator[Member]:
    """Somebody else."""
    member = await api.join()
    yield member
    await member.client.aclose()


@pytest.fixture
async def api_key(user) -> int:
    """A stored key pair of the user."""
    return await user.store_key()


@pytest.fixture
async def bot(user, api_key) -> dict:
    """A stopped bot of the user, as the API answered it."""
    return await user.make_bot(api_key)
