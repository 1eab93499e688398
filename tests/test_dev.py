"""`./dev` builds its environment once, also when it is called twice at a time."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: Stands in for Python: notes each environment that it makes, then waits until it is let go on.
PYTHON = """#!/bin/sh
[ "$1 $2" = "-m venv" ] || exit 0
echo built >>"$LOG"
read -r _ <"$GATE"
mkdir -p "$3/bin"
cp "$0" "$3/bin/python"
cp "$0" "$3/bin/uv"
"""


class Checkout:
    """A copy of the script, with an interpreter that only pretends."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.log, self.gate = place / "log", place / "gate"
        os.mkfifo(self.gate)
        self.log.touch()
        shutil.copy(ROOT / "dev", place)
        for name in ("requirements.lock", "pyproject.toml"):
            (place / name).touch()
        python = place / "python"
        python.write_text(PYTHON)
        python.chmod(0o755)
        self.env = {
            **os.environ,
            "BOTWARDEN_PYTHON": str(python),
            "LOG": str(self.log),
            "GATE": str(self.gate),
        }

    def begin(self) -> subprocess.Popen[str]:
        """Call it, and return it once it has said the first thing."""
        process = subprocess.Popen(
            [self.place / "dev", "shell", "true"],
            env=self.env,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.said = process.stderr.readline()
        return process

    def let_go_on(self) -> None:
        """Let the environment that is being made be finished."""
        self.gate.write_text("go on\n")

    @property
    def built(self) -> int:
        """How often an environment was made."""
        return self.log.read_text().count("built")


@pytest.fixture
def checkout(tmp_path):
    """A place of this test's own."""
    return Checkout(tmp_path)


def ended(process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=30)
    return process.returncode


def test_two_first_calls_build_once(checkout):
    """The second waits for the first, says for whom, and uses what it has made."""
    first = checkout.begin()
    assert checkout.said.startswith("Building")
    second = checkout.begin()
    assert f"process {first.pid};" in checkout.said
    checkout.let_go_on()
    assert (ended(first), ended(second), checkout.built) == (0, 0, 1)
    assert not list(checkout.place.glob(".venv.lock*"))


def test_a_build_that_was_killed_is_taken_over(checkout):
    """Nobody waits for a process that is gone."""
    killed = checkout.begin()
    os.killpg(killed.pid, signal.SIGKILL)
    assert ended(killed) != 0
    following = checkout.begin()
    assert checkout.said.startswith("Building")
    checkout.let_go_on()
    assert ended(following) == 0
    assert (checkout.place / ".venv/stamp").exists()
    assert not list(checkout.place.glob(".venv.lock*"))


def test_a_build_that_fails_holds_up_nobody(checkout):
    """The lock goes with whoever held it, and the failure is an exit code."""
    python = checkout.place / "python"
    python.write_text(PYTHON.replace("echo built", "exit 3; echo built"))
    failing = checkout.begin()
    assert ended(failing) == 1
    assert not list(checkout.place.glob(".venv*"))
