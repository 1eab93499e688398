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
