"""Fetches python-binance's source distribution, which ships its tests, and the packages that those need."""

import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent

#: The files whose tests reach spot REST, market streams, user data or the WebSocket API.
FILES = (
    "test_client.py",
    "test_async_client.py",
    "test_client_ws_api.py",
    "test_async_client_ws_api.py",
    "test_ws_api.py",
    "test_streams.py",
    "test_user_socket_integration.py",
)


def fetch(folder: Path) -> Path:
    """Return the folder of the tests, with our `conftest.py` in it.

    Raises:
        subprocess.CalledProcessError: the package index does not give it.
    """
    release = f"python_binance-{version('python-binance')}"
    tests = folder / release / "tests"
    if not tests.is_dir():
        _pip("download", "--no-deps", "--no-binary", ":all:", "-d", str(folder), release.replace("-", "=="))
        with tarfile.open(folder / f"{release}.tar.gz") as archive:
            archive.extractall(folder, filter="data")
    (tests / "__init__.py").touch()
    (tests / "conftest.py").write_text("from conformance.fixtures import *  # noqa: F403\n")
    return tests


def packages(folder: Path) -> Path:
    """Return the folder with what the tests import beside python-binance; pinned, and only for them."""
    place = folder / "packages"
    if not place.is_dir():
        _pip(
            "install",
            "--no-deps",
            "--require-hashes",
            "--target",
            str(place),
            "-r",
            str(HERE / "requirements.lock"),
        )
    return place


def _pip(*words: str) -> None:
    argv = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    subprocess.run(argv, check=True)  # noqa: S603 - pip, with our own words
