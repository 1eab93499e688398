"""The demo beside a running botwarden, and what becomes of its bots when either of them ends."""

import signal
import socketserver
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler

import pytest

from botwarden.persistence.embedded.places import read_run_file
from tests.persistence.embedded.stage import query
from tests.system.house import Running

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


@pytest.fixture
def demo():
    """Start the demo, and return it once its bots run; it is killed at the end of the test."""
    started: list[subprocess.Popen[str]] = []

    def start(running: Running) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "botwarden", "demo", "--bots", "2", "--url", running.address]
        started.append(subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        assert started[-1].stdout.readline().startswith("2 bots run; ")
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.communicate()


async def active(running: Running) -> int:
    """Return how many bots of anybody run."""
    return await query(read_run_file(running.data_dir), "SELECT count(*) FROM bot_states WHERE is_active")


@pytest.mark.anyio
async def test_whoever_is_told_to_leave_leaves_no_bot_running(up, demo):
    """SIGTERM and a closed terminal stop the bots as Ctrl-C does."""
    running = up()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        one = demo(running)
        assert await active(running) == 2
        one.send_signal(number)
        said, _ = one.communicate(timeout=30)
        assert one.returncode == 0
        assert said.endswith("The demo's bots are stopped.\n")
        assert await active(running) == 0
    assert f"./dev run demo --url {running.address}`" in "".join(running.told)


def test_when_botwarden_ends_the_bots_are_left_as_they_are(up, demo):
    """Nobody can stop them then; that they will go on is said in one line."""
    running = up()
    one = demo(running)
    assert running.stop() == 0
    _, said = one.communicate(timeout=30)
    assert one.returncode == 1
    assert said.startswith(f"Error: {running.address} answers no more: the bots are left as they are")
    assert said.count("\n") == 1


def test_what_is_no_botwarden_is_said_to_be_none():
    """Another server at the address is told apart from none at all."""
    with socketserver.TCPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{other.server_address[1]}"
        assert failure(url) == f"Error: What answers at {url} is no botwarden.\n"
        other.shutdown()
    assert failure("http://127.0.0.1:9").startswith("Error: http://127.0.0.1:9 does not answer ")


def failure(url: str) -> str:
    """Return what the demo says that does not find a botwarden there."""
    argv = [sys.executable, "-m", "botwarden", "demo", "--url", url]
    answer = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout) == (1, "")
    return answer.stderr
