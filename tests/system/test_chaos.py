"""A short storm: the whole of it is `./dev chaos`."""

import fcntl
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import anyio
import pytest

from chaos.__main__ import report, run
from chaos.words import Wish, WrongWord
from chaos.world import until
from tests.persistence.embedded.stage import gone

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

SECONDS, SEED = 12, 4


def test_nothing_happens_twice_and_nothing_is_forgotten(data_dir):
    """Replicas, servers and exchange are killed, frozen and deceived; every count that should be zero is."""
    storm = partial(run, data_dir, seconds=SECONDS, seed=SEED)
    toll, verdict = anyio.run(storm)
    report(toll, verdict, seconds=SECONDS, seed=SEED)
    assert verdict.is_clean
    assert toll.kills >= 1
    assert verdict.trades >= 1
    assert verdict.commits > verdict.trades


CHAOS = [sys.executable, "-m", "chaos"]


def test_words_come_before_the_environment_and_both_before_the_defaults():
    """A minute unless it is said otherwise; what is typed wins."""
    assert Wish.read(["SECONDS=5", "SEED=7"], {"SECONDS": "9"}) == Wish(seconds=5, seed=7)
    assert Wish.read(["SEED=7"], {"SECONDS": "9"}).seconds == 9
    assert Wish.read([], {}).seconds == 60


@pytest.mark.parametrize(
    "word", ["FOO=1", "60", "SECONDS", "SECONDS=abc", "SECONDS=0", "SECONDS=inf", "SEED=x"]
)
def test_a_word_that_nobody_understands_is_refused(word):
    """Nobody waits a minute for something else than what was meant."""
    with pytest.raises(WrongWord, match=word):
        Wish.read([word], {})


def test_wrong_words_are_two_and_help_is_none():
    """Both are answered at once, without a traceback, and nothing starts."""
    wrong = subprocess.run([*CHAOS, "FOO=1"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("FOO=1: the words are ")
    helped = subprocess.run([*CHAOS, "--help"], capture_output=True, text=True, check=False)
    assert (helped.returncode, helped.stderr) == (0, "")
    assert helped.stdout.startswith("`./dev chaos`: ")


@pytest.mark.anyio
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_whatever_ends_it_ends_its_replicas(data_dir, number):
    """A signal takes replicas and folder along; even a sudden death leaves no replica behind."""
    place = data_dir.parent
    storm = begun(place)
    replicas: list[int] = []

    async def seen() -> bool:
        replicas[:] = replicas_of(place)
        return bool(replicas)

    try:
        assert await until(seen, within_s=60)
        storm.send_signal(number)
        code = await anyio.to_thread.run_sync(storm.wait)
    finally:
        storm.kill()
    for pid in replicas:
        await gone(pid)
    for lock in place.glob("*/data/lock"):  # The servers let go of it last.
        with lock.open() as held:
            fcntl.flock(held, fcntl.LOCK_EX)
    if number != signal.SIGKILL:
        assert code == 128 + number
        assert list(place.iterdir()) == []


def begun(place: Path) -> subprocess.Popen[bytes]:
    """Start a storm of a minute whose folder is there."""
    environment = {**os.environ, "TMPDIR": str(place)}
    return subprocess.Popen([*CHAOS, "SECONDS=60"], env=environment, stderr=subprocess.DEVNULL)


def replicas_of(place: Path) -> list[int]:
    """Return the processes of replicas whose data is there."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
            environment = (process / "environ").read_bytes()
        except OSError:
            continue
        if b"chaos.replica" in words and f"BOTWARDEN_DATA_DIR={place}".encode() in environment:
            found.append(int(process.name))
    return found
