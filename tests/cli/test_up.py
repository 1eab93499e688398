"""What `up` refuses before it starts anything."""

import socket
import subprocess
import sys

import pytest
from click.testing import CliRunner

from botwarden.cli.main import group


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--market", "live", "--speed", "2"], 2, "--market live moves at --speed 1"),
        (["--market", "replay"], 2, "--market replay and --replay PATH belong together"),
        (["--market", "synthetic", "--replay", "."], 2, "--market replay and --replay PATH belong together"),
    ],
)
def test_a_market_that_cannot_be_is_refused_at_once(tmp_path, words, code, says):
    """No server starts, and the reason is said where the person looks."""
    answer = CliRunner().invoke(group, ["up", "--data-dir", str(tmp_path / "data"), *words])
    assert (answer.exit_code, says in answer.output) == (code, True)
    assert not (tmp_path / "data").exists()


def test_a_port_in_use_is_said_before_anything_starts(tmp_path):
    """Whoever starts a second one is told why it does not start, without a traceback; nothing is made."""
    data = tmp_path / "data"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = ["up", "--data-dir", str(data), "--port", str(port)]
        answer = subprocess.run(
            [sys.executable, "-m", "botwarden", *words], capture_output=True, text=True, check=False
        )
    assert answer.returncode == 1
    assert answer.stderr == f"Error: Cannot listen on 127.0.0.1 port {port}: Address already in use.\n"
    assert not (data / "postgresql").exists()
