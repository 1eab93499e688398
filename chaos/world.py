"""Everything that runs: embedded servers, the paper exchange beside them, and replicas of `botwarden serve`.

The keeper starts servers and exchange again when they are killed; replicas are started by whoever hits them.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from botwarden.errors import Unavailable
from botwarden.exchange.paper.admin import PaperAdmin
from botwarden.persistence.embedded import EmbeddedServers
from botwarden.persistence.embedded.leash import Service
from botwarden.persistence.migrate import upgrade
from botwarden.settings import Settings
from chaos.network import Network
from chaos.steps import PARENT, VARIABLE, Strike

#: Short, so that an unknown outcome is known soon, and a frozen process wakes up too late.
RECEIVE_WINDOW_MS = 2000
PAPER_EXCHANGE = "paper-exchange"


class Replica:
    """A place where one `botwarden serve` runs, one process after the other."""

    def __init__(self, name: str, environment: dict[str, str], log: Path) -> None:
        self.name = name
        self.port = free_port()
        self._environment = dict(environment)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where its API answers."""
        return f"http://127.0.0.1:{self.port}/api/v1"

    def lead_through(self, network: Network) -> None:
        """Let the processes that are started from now on reach everything through these lines."""
        self._environment |= network.environment

    def start(self, strike: Strike | None = None) -> None:
        """Start a process, which shall strike itself at a step."""
        environment = {**self._environment, "BOTWARDEN_REPLICA_NAME": self.name, PARENT: str(os.getpid())}
        if strike is not None:
            environment[VARIABLE] = str(strike)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "chaos.replica", "--port", str(self.port)],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def terminate(self) -> None:
        """Ask it to end in order."""
        self._signal(signal.SIGTERM)

    @property
    def exit_code(self) -> int | None:
        """With which code the process has ended by itself; empty while it has not."""
        return None if self._process is None else self._process.poll()

    def freeze(self) -> None:
        """Stop it where it stands; it notices nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on where it stood."""
        self._signal(signal.SIGCONT)

    @property
    def is_struck(self) -> bool:
        """Whether the process has ended or stands still."""
        if self._process is None or self._process.returncode is not None:
            return True
        options = os.WEXITED | os.WSTOPPED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, options) is not None

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)


class World:
    """What a run of chaos acts upon."""

    def __init__(
        self, servers: EmbeddedServers, settings: Settings, replicas: list[Replica], admin: PaperAdmin
    ) -> None:
        self.servers = servers
        self.settings = settings
        self.replicas = replicas
        self.paper_admin = admin

    def kill_service(self, name: str) -> None:
        """Kill a server or the paper exchange; its keeper starts it again."""
        pid = self.servers.pids.get(name)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    async def be_honest(self) -> None:
        """Let the exchange deceive nobody any more; it may be on its way up again."""
        while True:
            try:
                await self.paper_admin.clear_faults()
            except Unavailable:
                await anyio.sleep(0.2)
            else:
                return

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run another command on the same database."""
        return subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "botwarden", *words],
            env=_environment(self.settings),
            capture_output=True,
            text=True,
            check=False,
        )


@asynccontextmanager
async def opened(
    folder: Path, *, replicas: int, speed: float, seed: int, more: Mapping[str, str] | None = None
) -> AsyncIterator[World]:
    """Start everything but the replicas' processes, which find `more` settings; end all of it at the end."""
    port = free_port()
    settings = Settings.from_env(
        {
            "BOTWARDEN_SECRET_KEY": secrets.token_hex(32),
            "BOTWARDEN_PAPER_ADMIN_TOKEN": secrets.token_hex(32),
            "BOTWARDEN_PAPER_URL": f"http://127.0.0.1:{port}",
            "BOTWARDEN_RECV_WINDOW_MS": str(RECEIVE_WINDOW_MS),
            "BOTWARDEN_LOG_LEVEL": "warning",
            "BOTWARDEN_DATA_DIR": str(folder),
        },
        {},
    )
    exchange = Service(
        name=PAPER_EXCHANGE,
        argv=[
            *(sys.executable, "-m", "botwarden", "paper-exchange", "--port", str(port)),
            *("--store", str(folder / "paper.sqlite"), "--speed", str(speed), "--seed", str(seed)),
        ],
        env={**os.environ, "BOTWARDEN_PAPER_ADMIN_TOKEN": settings.paper_admin_token},
    )
    async with (
        EmbeddedServers.start(folder, extra=[exchange], fast=True) as servers,
        PaperAdmin(settings.paper_url, settings.paper_admin_token) as admin,
    ):
        environment = {
            **_environment(settings),
            "BOTWARDEN_DATABASE_URL": servers.database_url,
            "BOTWARDEN_REDIS_URL": servers.redis_url,
            **(more or {}),
        }
        settings = Settings.from_env(environment, {})
        await upgrade(settings.database_url, lambda _step: None)
        places = [
            Replica(f"replica-{number}", environment, servers.data_dir / "log" / f"replica-{number}.log")
            for number in range(1, replicas + 1)
        ]
        try:
            yield World(servers, settings, places, admin)
        finally:
            for replica in places:
                replica.kill()


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _environment(settings: Settings) -> dict[str, str]:
    """Return what processes of this world find in their environment."""
    ours = {
        "BOTWARDEN_SECRET_KEY": settings.secret_key,
        "BOTWARDEN_PAPER_ADMIN_TOKEN": settings.paper_admin_token,
        "BOTWARDEN_PAPER_URL": settings.paper_url,
        "BOTWARDEN_DATABASE_URL": settings.database_url,
        "BOTWARDEN_REDIS_URL": settings.redis_url,
        "BOTWARDEN_RECV_WINDOW_MS": str(settings.recv_window_ms),
        "BOTWARDEN_LOG_LEVEL": settings.log_level,
        "BOTWARDEN_DATA_DIR": str(settings.data_dir),
    }
    others = {name: value for name, value in os.environ.items() if not name.startswith("BOTWARDEN_")}
    return others | ours


async def until(holds: Callable[[], Awaitable[bool]], *, within_s: float) -> bool:
    """Look again and again; return whether it held in time."""
    with anyio.move_on_after(within_s):
        while not await holds():  # noqa: ASYNC110 - other processes set no event
            await anyio.sleep(0.1)
        return True
    return False
