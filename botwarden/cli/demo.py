"""`botwarden demo`: a newcomer's first bots, made through the API like anybody's, and followed live.

Everything it does could be typed with curl; README shows how.
"""

import json
import secrets
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import click
import httpx
from rich.console import Console
from rich.live import Live
from rich.table import Table

HERE = "http://127.0.0.1:8000"
STREAM_TIMEOUT = httpx.Timeout(10.0, read=60.0)


@click.command()
@click.option("--url", default=HERE, show_default=True, help="Where botwarden runs.")
@click.option(
    "--bots", "count", default=4, show_default=True, type=click.IntRange(1, 100), help="How many bots."
)
@click.option("--changes", default=0, help="Stop following after this many changes (0: until Ctrl-C).")
@click.option("--keep", is_flag=True, help="Leave the bots running afterwards.")
def command(url: str, count: int, changes: int, keep: bool) -> None:
    """Create bots on several symbols, start them and follow their live status."""
    url = url.rstrip("/")
    _on_leaving(signal.default_int_handler)  # As Ctrl-C does.
    with httpx.Client(base_url=f"{url}/api/v1", timeout=STREAM_TIMEOUT) as client:
        _sign_in(client, url)
        try:
            _show(client, url, count, changes, keep=keep)
        except (httpx.TransportError, httpx.HTTPStatusError):
            raise click.ClickException(
                f"{url} answers no more: the bots are left as they are, and go on when it does."
            ) from None


def _show(client: httpx.Client, url: str, count: int, changes: int, *, keep: bool) -> None:
    """Make the bots and follow them; whoever leaves, by whatever signal, leaves none of them running."""
    console = Console()
    try:
        with suppress(KeyboardInterrupt):
            bots = _create_bots(client, count)
            console.print(f"{len(bots)} bots run; the first: GET {url}/api/v1/bots/{next(iter(bots))}")
            _follow(client, bots, console, changes)
    finally:
        if not keep:
            _on_leaving(signal.SIG_IGN)  # A terminal that closes may say so twice.
            client.post("/bots/stop-all").raise_for_status()
    console.print("The demo's bots run on." if keep else "The demo's bots are stopped.")


def _on_leaving(handler: Any) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


def _sign_in(client: httpx.Client, url: str) -> None:
    """Register a user of its own for this demo."""
    try:
        _require_botwarden(client, url)
        who = {"email": f"demo-{secrets.token_hex(4)}@example.com", "password": secrets.token_urlsafe(16)}
        _expect(client.post("/auth/register", json=who))
        token = _expect(client.post("/auth/login", json=who))["access_token"]
    except (httpx.TransportError, httpx.InvalidURL) as unreachable:
        raise click.ClickException(
            f"{url} does not answer ({unreachable}); is `botwarden up` running?"
        ) from None
    client.headers["Authorization"] = f"Bearer {token}"
    client.cookies.clear()


def _require_botwarden(client: httpx.Client, url: str) -> None:
    try:
        is_one = client.get(f"{url}/health/live").json() == {"status": "ok"}
    except ValueError:
        is_one = False
    if not is_one:
        raise click.ClickException(f"What answers at {url} is no botwarden.")


def _create_bots(client: httpx.Client, count: int) -> dict[int, dict[str, Any]]:
    key = {
        "label": "demo",
        "venue": "paper",
        "api_key": secrets.token_hex(16),
        "secret_key": secrets.token_hex(32),
    }
    api_key_id = _expect(client.post("/api-keys", json=key))["id"]
    symbols = [item["symbol"] for item in _expect(client.get("/symbols", params={"venue": "paper"}))["items"]]
    bots = {}
    for number in range(count):
        symbol = symbols[number % len(symbols)]
        wish = {
            "name": f"demo {number + 1} {symbol}",
            "symbol": symbol,
            "strategy": "ema",
            "strategy_params": {"fast": 3, "slow": 8},
            "venue": "paper",
            "api_key_id": api_key_id,
            "initial_capital": 1000,
            "position_size_perc": 50,
            "stop_loss_perc": 2,
            "take_profit_perc": 3,
        }
        bot = _expect(client.post("/bots", json=wish))
        _expect(client.post(f"/bots/{bot['id']}/start"))
        bots[bot["id"]] = bot
    return bots


def _follow(client: httpx.Client, bots: dict[int, dict[str, Any]], console: Console, changes: int) -> None:
    states: dict[int, dict[str, Any]] = {}
    seen = 0
    with Live(_table(bots, states), console=console, refresh_per_second=8) as live:
        for change in _changes(client):
            states[change["id"]] = change
            live.update(_table(bots, states))
            seen += 1
            if seen == changes:
                return


def _changes(client: httpx.Client) -> Iterator[dict[str, Any]]:
    """Yield each state that the stream of all bots tells; reconnect where it ends."""
    last_id = ""
    while True:
        headers = {"Last-Event-ID": last_id} if last_id else {}
        with client.stream("GET", "/bots/status-stream", headers=headers) as response:
            response.raise_for_status()
            for line in response.iter_lines():
                field, _, value = line.partition(": ")
                if field == "id":
                    last_id = value
                elif field == "data" and "status" in (message := json.loads(value)):
                    yield message


def _table(bots: dict[int, dict[str, Any]], states: dict[int, dict[str, Any]]) -> Table:
    table = Table("bot", "symbol", "status", "in position", "entry", "today", "trades", title="live status")
    for bot_id, bot in bots.items():
        state = states.get(bot_id, bot["state"])
        table.add_row(
            str(bot_id),
            bot["symbol"],
            state["status"],
            "yes" if state["in_position"] else "",
            str(state["entry_price"] or ""),
            str(state["daily_pnl"]),
            str(state["daily_trades_count"]),
        )
    return table


def _expect(response: httpx.Response) -> Any:
    """Return the answer's JSON; a refusal becomes a plain message."""
    if response.is_success:
        return response.json() if response.content else None
    try:
        problem = response.json()
        text = problem.get("detail") or problem.get("title")
    except ValueError:
        text = response.reason_phrase
    raise click.ClickException(f"{response.request.method} {response.request.url.path}: {text}")
