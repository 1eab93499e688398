"""`botwarden paper-exchange`: only the paper exchange, on a local port."""

import signal
import sys
from pathlib import Path

import anyio
import click

from botwarden.errors import Unavailable
from botwarden.exchange.paper.options import LIVE_STREAM_URL, LIVE_URL, PaperOptions
from botwarden.exchange.paper.server import serve
from botwarden.exchange.paper.source import SourceError
from botwarden.exchange.paper.store import StoreError


@click.command("paper-exchange")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8001, show_default=True, help="Port to listen on; 0: a free one.")
@click.option(
    "--store",
    default=".data/paper.sqlite",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File that keeps accounts, orders and the market's position.",
)
@click.option(
    "--market",
    default=None,
    type=click.Choice(["synthetic", "replay", "live"]),
    help="Where prices come from.  [default: replay with --replay, else synthetic]",
)
@click.option(
    "--replay",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="Kline file (BTCUSDT-1m.csv) or a folder of them; repeatable.",
)
@click.option(
    "--live-url",
    envvar="BOTWARDEN_LIVE_URL",
    default=LIVE_URL,
    show_default=True,
    help="REST of the public market that a live one follows.",
)
@click.option(
    "--live-stream-url",
    envvar="BOTWARDEN_LIVE_STREAM_URL",
    default=LIVE_STREAM_URL,
    show_default=True,
    help="Its streams.",
)
@click.option(
    "--speed", default=1.0, show_default=True, help="How much faster than the clock the market moves."
)
@click.option("--seed", default=None, type=int, help="Makes the synthetic market repeat exactly.")
@click.option("--symbol", multiple=True, help="Only these symbols; repeatable.")
@click.option(
    "--admin-token",
    envvar="BOTWARDEN_PAPER_ADMIN_TOKEN",
    default="",
    help="Opens the endpoints that make accounts; without one they are shut.",
)
def command(
    *,
    host: str,
    port: int,
    store: Path,
    market: str | None,
    replay: tuple[Path, ...],
    live_url: str,
    live_stream_url: str,
    speed: float,
    seed: int | None,
    symbol: tuple[str, ...],
    admin_token: str,
) -> None:
    """Serve Binance's spot REST and WebSocket protocol with play money."""
    kind = market or ("replay" if replay else "synthetic")
    if (kind == "replay") != bool(replay):
        raise click.UsageError("--market replay and --replay PATH belong together")
    options = PaperOptions(
        host=host,
        port=port,
        store=store,
        market=kind,  # type: ignore[arg-type]  # click has checked it
        replay=list(replay),
        live_url=live_url,
        live_stream_url=live_stream_url,
        speed=speed,
        seed=seed,
        symbols=list(symbol),
        admin_token=admin_token,
    )
    failures: list[BaseException] = []
    try:
        anyio.run(_serve_until_signalled, options, backend_options={"use_uvloop": sys.platform != "win32"})
    except* (SourceError, StoreError, Unavailable, OSError) as group:
        # Raised after the block: Python before 3.11.4 wraps what is raised in it in a group.
        failures = _leaves(group)
    if failures:
        raise click.ClickException("; ".join(str(error) for error in failures))


async def _serve_until_signalled(options: PaperOptions) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_serve, options)
            async for _ in signals:
                tasks.cancel_scope.cancel()
                return


async def _serve(options: PaperOptions) -> None:
    await serve(options, on_ready=lambda address: click.echo(f"The paper exchange listens on {address}"))


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return found
