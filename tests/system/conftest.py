"""Places and processes of the system tests."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.fleet import Fleet, open_fleet
from tests.system.house import Running


@contextmanager
def shared_folder() -> Iterator[Path]:
    """Yield a directory to be made, which the servers' own user can reach, also when root runs the tests."""
    with tempfile.TemporaryDirectory(prefix="botwarden-", ignore_cleanup_errors=True) as place:
        Path(place).chmod(0o755)
        yield Path(place) / "data"


@pytest.fixture
def data_dir():
    """A directory for one `up` after the other."""
    with shared_folder() as folder:
        yield folder


@pytest.fixture
def up(data_dir):
    """Start `botwarden up` on the directory; whatever still runs at the end of the test is killed."""
    started: list[Running] = []

    def start(*words: str) -> Running:
        started.append(Running(data_dir, *words))
        return started[-1].begin()

    yield start
    for running in started:
        running.kill()


@pytest.fixture(scope="session")
async def town(anyio_backend) -> AsyncIterator[Fleet]:  # noqa: ARG001 - its processes are waited for on this loop
    """Servers, a paper exchange and places for two replicas, for all tests that ask."""
    with shared_folder() as folder:
        async with open_fleet(folder) as fleet:
            yield fleet


@pytest.fixture
async def fleet(town) -> AsyncIterator[Fleet]:
    """A replica that answers, a new owner without bots, an honest exchange; at the end nothing trades."""
    await town.begin()
    yield town
    await town.end()
