"""Data directories short enough for sockets, and apps that are cleaned away."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.persistence.embedded.stage import App


@pytest.fixture
def folder() -> Iterator[Path]:
    """A place for a data directory, reachable for everybody."""
    parent = Path(tempfile.mkdtemp(prefix="bw-"))
    parent.chmod(0o755)
    yield parent / "data"
    shutil.rmtree(parent)


@pytest.fixture
def run() -> Iterator[Callable[..., App]]:
    """Starts apps."""
    apps: list[App] = []

    def start(folder: Path, *services: str, **popen: object) -> App:
        apps.append(App(folder, *services, **popen))
        return apps[-1]

    yield start
    for app in apps:
        app.kill()
    for app in apps:
        app.clean()
