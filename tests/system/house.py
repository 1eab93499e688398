"""A whole botwarden in processes of its own: started, asked, killed."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx

QUIET = {"BOTWARDEN_LOG_LEVEL": "warning"}


class Running:
    """One `botwarden up` on a data directory."""

    def __init__(self, data_dir: Path, *words: str) -> None:
        self.data_dir = data_dir
        argv = [sys.executable, "-m", "botwarden", "up", "--port", "0", "--data-dir", str(data_dir), *words]
        env = {**os.environ, **QUIET}
        self.process = subprocess.Popen(
            argv, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self.told: list[str] = []
        self.address = ""

    def begin(self) -> Self:
        """Wait until it answers."""
        self.address = self._read(r"botwarden answers at (\S+)")
        self._read(r"Ctrl-C stops everything")
        return self

    def _read(self, pattern: str) -> str:
        """Read what it prints until a line matches; its end without one is a failure."""
        for line in self.process.stdout:
            self.told.append(line)
            if found := re.search(pattern, line):
                return found.group(found.lastindex or 0)
        raise AssertionError(f"up ended early: {''.join(self.told)}")

    @property
    def demo_account(self) -> dict[str, str]:
        """The credentials that were printed the first time."""
        found = re.search(r"demo account \(shown once\)\s+(\S+)\s+(\S+)", "".join(self.told))
        return {"email": found.group(1), "password": found.group(2)}

    @contextmanager
    def client(self, account: dict[str, str]) -> Iterator[httpx.Client]:
        """Yield a client that is signed in."""
        with httpx.Client(base_url=f"{self.address}/api/v1", timeout=30) as client:
            answer = client.post("/auth/login", json=account).raise_for_status()
            client.cookies.clear()
            client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            yield client

    def kill(self) -> None:
        """End it as a power cut would end one process."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self) -> int:
        """End it as Ctrl-C does; return its exit code."""
        self.process.send_signal(signal.SIGINT)
        self.process.stdout.read()
        return self.process.wait(timeout=30)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run another command beside it."""
        env = {**os.environ, **QUIET, "BOTWARDEN_DATA_DIR": str(self.data_dir), "COLUMNS": "200"}
        argv = [sys.executable, "-m", "botwarden", *words]
        return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)


def follow(
    client: httpx.Client, enough: Callable[[dict[int, dict[str, Any]]], bool]
) -> dict[int, dict[str, Any]]:
    """Follow the account's status stream until `enough`; return the newest state of each bot."""
    states: dict[int, dict[str, Any]] = {}
    with client.stream("GET", "/bots/status-stream", timeout=60) as stream:
        for line in stream.iter_lines():
            if line.startswith("data: "):
                state = httpx.Response(200, content=line[6:]).json()
                if "status" in state:
                    assert state["version"] >= states.get(state["id"], state)["version"]
                    states[state["id"]] = state
                    if enough(states):
                        return states
    raise AssertionError("the stream ended early")
