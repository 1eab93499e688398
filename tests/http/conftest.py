"""The whole API, two members of it, and a bot."""

from collections.abc import AsyncIterator

import pytest

from tests.http.api import Api, Member, open_api, open_deps


@pytest.fixture
async def api(database, redis_url) -> AsyncIterator[Api]:
    """The API on a real server."""
    async with open_deps(database, redis_url) as deps, open_api(deps) as api:
        yield api


@pytest.fixture
async def user(api) -> Member:
    """Somebody who is logged in."""
    return await api.join()


@pytest.fixture
async def other_user(api) -> Member:
    """Somebody else."""
    return await api.join()


@pytest.fixture
async def api_key(user) -> int:
    """A stored key pair of the user."""
    return await user.store_key()


@pytest.fixture
async def bot(user, api_key) -> dict:
    """A stopped bot of the user, as the API answered it."""
    return await user.make_bot(api_key)
