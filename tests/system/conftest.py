"""Places and processes of the system tests."""

import tempfile
from pathlib import Path

import pytest

from tests.system.house import Running


@pytest.fixture
def data_dir():
    """A directory that the servers' own user can reach, also when root runs the tests."""
    with tempfile.TemporaryDirectory(prefix="botwarden-", ignore_cleanup_errors=True) as place:
        Path(place).chmod(0o755)
        yield Path(place) / "data"


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
