"""`botwarden up`: everything on this machine in one process tree, with no set-up."""

import os
import secrets
import socket
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import click

from botwarden import logs
from botwarden.cli.demo import HERE
from botwarden.cli.demo_account import DemoAccount, find_or_make_demo_account, seed_bots
from botwarden.cli.serve import until_signalled
from botwarden.errors import Unavailable
from botwarden.exchange.paper.admin import PaperAdmin
from botwarden.http.server import take_address
from botwarden.persistence.embedded.failures import EmbeddedFailure
from botwarden.persistence.embedded.leash import Service
from botwarden.persistence.embedded.places import claim_data_dir, write_private
from botwarden.persistence.embedded.servers import EmbeddedServers
from botwarden.persistence.migrate import upgrade
from botwarden.settings import Settings, Source

#: The service, and its log.
PAPER = "paper-exchange"
PAPER_READY_WITHIN_S = 60.0


@click.command()
@click.option("--host", help="Address of the API.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port of the API; 0 takes a free one.  [default: 8000]")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where servers and secrets are kept.")
@click.option("--bots", type=int, help="See to so many running demo bots.")
@click.option("--market", type=click.Choice(["synthetic", "replay", "live"]), help="Where prices come from.")
@click.option(
    "--replay",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="Kline file or folder; repeatable.",
)
@click.option("--speed", type=float, help="How much faster than the clock the paper market moves.")
@click.option("--seed", type=int, help="Makes the synthetic market repeat exactly.")
def command(**words: Any) -> None:
    """Run PostgreSQL, Valkey, the paper exchange, the bots and the API until Ctrl-C."""
    words["replay"] = words["replay"] or None
    if words["replay"] and words["market"] is None:
        words["market"] = "replay"
    settings = Settings.from_env(os.environ, words)
    _check_market(settings)
    logs.configure(settings.log_level, settings.log_format)
    anyio.run(_up, settings, backend_options={"use_uvloop": True})


def _check_market(settings: Settings) -> None:
    """Say at once what the paper exchange would refuse to start with, again and again."""
    if settings.market == "live" and settings.speed != 1:
        raise click.UsageError("--market live moves at --speed 1")
    if (settings.market == "replay") != bool(settings.replay):
        raise click.UsageError("--market replay and --replay PATH belong together")


async def _up(settings: Settings) -> None:
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(take_address(settings.host, settings.port))
        base = claim_data_dir(settings.data_dir)
        paper_port = _free_port(settings.port + 1 if settings.port else 0)
        settings = replace(
            settings,
            data_dir=base,
            secret_key=settings.secret_key or _kept_secret(base / "secret.key"),
            paper_admin_token=settings.paper_admin_token or _kept_secret(base / "paper-admin.token"),
            paper_url=f"http://127.0.0.1:{paper_port}",
        )
        servers = await stack.enter_async_context(
            EmbeddedServers.start(
                base, extra=[_paper_exchange(settings, base, paper_port)], report=click.echo
            )
        )
        settings = replace(settings, database_url=servers.database_url, redis_url=servers.redis_url)
        await upgrade(settings.database_url, lambda step: click.echo(f"  {step}"))
        servers.announce(
            secret_key=settings.secret_key,
            paper_url=settings.paper_url,
            paper_admin_token=settings.paper_admin_token,
        )
        await _until_paper_is_ready(settings, servers)
        tasks = await stack.enter_async_context(anyio.create_task_group())
        tasks.start_soon(_end_with_servers, servers)
        await until_signalled(settings, listener, lambda address: _welcome(settings, address))
        tasks.cancel_scope.cancel()


async def _end_with_servers(servers: EmbeddedServers) -> None:
    raise EmbeddedFailure(await servers.wait_lost())


async def _welcome(settings: Settings, address: str) -> None:
    account = await find_or_make_demo_account(settings)
    if settings.bots:
        await seed_bots(settings, address, settings.bots)
    click.echo(_banner(settings, address, account))


def _banner(settings: Settings, address: str, account: DemoAccount) -> str:
    market = f"{settings.market} market, speed {settings.speed:g}"
    lines = [
        "",
        f"botwarden answers at {address}",
        f"  API and its documentation   {address}/schema",
        f"  paper exchange              {settings.paper_url}  ({market})",
        f"  data                        {settings.data_dir}",
    ]
    if account.password is not None:
        lines.append(f"  demo account (shown once)   {account.email}  {account.password}")
    there = "" if address == HERE else f" --url {address}"
    hint = f"Try `./dev run demo{there}`, or see README for curl. Ctrl-C stops everything."
    return "\n".join([*lines, hint, ""])


def _paper_exchange(settings: Settings, base: Path, port: int) -> Service:
    words = [sys.executable, "-m", "botwarden", PAPER, "--host", "127.0.0.1", "--port", str(port)]
    words += [
        "--store",
        str(base / "paper.sqlite"),
        "--market",
        settings.market,
        "--speed",
        str(settings.speed),
    ]
    if settings.market == "synthetic" and settings.sources["seed"] is not Source.DEFAULT:
        words += ["--seed", str(settings.seed)]
    if settings.market == "live":
        words += ["--live-url", settings.live_url, "--live-stream-url", settings.live_stream_url]
    for path in settings.replay:
        words += ["--replay", str(path)]
    env = {**os.environ, "BOTWARDEN_PAPER_ADMIN_TOKEN": settings.paper_admin_token}
    return Service(name=PAPER, argv=words, env=env, must_start=True)


async def _until_paper_is_ready(settings: Settings, servers: EmbeddedServers) -> None:
    async with PaperAdmin(settings.paper_url, settings.paper_admin_token) as paper:

        async def answers() -> bool:
            try:
                await paper.status()
            except Unavailable:
                return False
            return True

        await servers.until_ready(PAPER, answers, PAPER_READY_WITHIN_S)


def _kept_secret(path: Path) -> str:
    """Return the secret in this file, made at the first need."""
    if not path.exists():
        write_private(path, secrets.token_hex(32))
    return path.read_text().strip()


def _free_port(wanted: int) -> int:
    """Return the wanted port if it is free, else any that is."""
    for port in (wanted, 0):
        try:
            with socket.create_server(("127.0.0.1", port)) as listener:
                return int(listener.getsockname()[1])
        except (OSError, OverflowError):
            continue
    raise EmbeddedFailure("There is no free port for the paper exchange.")
