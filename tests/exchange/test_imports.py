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
    """An exchange that runs loads the library in a thread beside its work, so no order waits for that."""
    program = """
import sys
import threading
import anyio
from botwarden.exchange.binance import BinanceExchange
from botwarden.runtime import SystemClock

importers = []

class Witness:
    def find_spec(self, name, path, target=None):
        if name == "binance":
            importers.append(threading.current_thread())

async def main():
    exchange = BinanceExchange({}, None, SystemClock())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(exchange.run)
        with anyio.fail_after(30):
            while not importers:
                await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()

sys.meta_path.insert(0, Witness())
anyio.run(main)
sys.exit(threading.main_thread() in importers)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
