"""Importing the room is cheap for those who only need its words."""

import subprocess
import sys


def test_python_binance_is_imported_late() -> None:
    """Neither the door nor what http and actors need of this room loads python-binance."""
    program = (
        "import sys; import botwarden.exchange.binance, botwarden.exchange.symbols; "
        "sys.exit('binance' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_port_needs_no_network_library() -> None:
    """The port, its errors and the catalogue do without aiohttp."""
    program = (
        "import sys; import botwarden.exchange.port, botwarden.exchange.errors, botwarden.exchange.symbols; "
        "sys.exit('aiohttp' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_python_binance_is_there_before_the_first_order() -> None:
    """An exchange that runs loads the library beside its work: the first order does not hold up the loop."""
    program = """
import sys
import anyio
from botwarden.exchange.binance import BinanceExchange
from botwarden.runtime import SystemClock

async def main():
    exchange = BinanceExchange({}, None, SystemClock())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(exchange.run)
        turns = 0
        with anyio.fail_after(30):
            while "botwarden.exchange.client" not in sys.modules:
                await anyio.lowlevel.checkpoint()
                turns += 1
        tasks.cancel_scope.cancel()
    sys.exit(turns < 10)

anyio.run(main)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
