"""What `up` refuses to start with, and how it says so."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

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
    assert not data.exists()


@pytest.fixture
def data_dir():
    """Where the servers' own user can go too, when root runs the tests."""
    with tempfile.TemporaryDirectory(prefix="bw-", ignore_cleanup_errors=True) as place:
        Path(place).chmod(0o755)
        yield Path(place) / "data"


def test_a_market_that_does_not_come_ends_the_start_with_its_reason(data_dir, tmp_path):
    """Whatever keeps the paper exchange from starting is said at once, in its own words and in one line.

    Nothing is started again and again meanwhile, and its log holds no traceback of what was to be expected.
    """
    bad = tmp_path / "README.md"
    bad.write_text("open time,open,high,low,close,volume\n\nnot a kline\n")
    env = {**os.environ, "BOTWARDEN_LIVE_URL": "http://127.0.0.1:9"}
    for market, why in (
        (["--market", "live"], "the public market at http://127.0.0.1:9 does not answer"),
        (["--replay", str(bad)], "README.md, line 3: a kline has open time"),
    ):
        words = ["up", "--data-dir", str(data_dir), "--port", "0", *market]
        command = [sys.executable, "-m", "botwarden", *words]
        answer = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
        assert answer.returncode == 1
        assert answer.stderr.startswith(f"Error: paper-exchange does not start: {why}")
        assert answer.stderr.count("\n") == 1
        assert "again" not in answer.stdout
    assert "Traceback" not in (data_dir / "log/paper-exchange.log").read_text()


def test_ctrl_c_during_the_start_ends_it_without_a_word(data_dir):
    """Whoever changes their mind is not told so, and the exit code is that of an interrupt."""
    detour = data_dir.parent / "nowhere" / ".." / "data"
    words = ["up", "--data-dir", str(detour), "--port", "0"]
    up = subprocess.Popen(
        [sys.executable, "-m", "botwarden", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert up.stdout.readline().endswith(f" database in {data_dir} ...\n")
    up.send_signal(signal.SIGINT)
    assert up.communicate(timeout=30) == ("", "")
    assert up.returncode == 130
