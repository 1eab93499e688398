"""Data directories short enough for sockets, and apps that are cleaned away."""

import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from botwarden.persistence.embedded import EmbeddedServers
from tests.persistence.embedded.stage import App


@pytest.fixture(scope="session")
async def made(anyio_backend) -> AsyncIterator[Path]:  # noqa: ARG001 - made on its loop
    """A data directory whose database is made and at rest: to be copied, which is quicker than making it."""
    parent = _open_place()
    async with EmbeddedServers.start(parent / "data", fast=True):
        pass
    yield parent / "data"
    shutil.rmtree(parent)


@pytest.fixture
def fresh_folder() -> Iterator[Path]:
    """Where a data directory may be made."""
    parent = _open_place()
    yield parent / "data"
    shutil.rmtree(parent)


@pytest.fixture
def folder(fresh_folder: Path, made: Path) -> Path:
    """A data directory of this test's own."""
    subprocess.run(["cp", "-a", made, fresh_folder], check=True)
    return fresh_folder


def _open_place() -> Path:
    """Return a directory with a short name that everybody can pass."""
    place = Path(tempfile.mkdtemp(prefix="bw-"))
    place.chmod(0o755)
    return place


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
