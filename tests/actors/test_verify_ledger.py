"""`verify-ledger` beside trading: it waits for an exchange that does not answer."""

import pytest
from rich.console import Console

from botwarden.cli import account_records
from botwarden.cli.verify_ledger import look_at_accounts
from botwarden.errors import Unavailable

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("path", ["GET allOrders", "GET myTrades"])
async def test_an_exchange_that_does_not_answer_is_asked_again(house, monkeypatch, path):
    """A failed page of records is asked for once more, and nothing is reported as a difference."""
    life = await house.begin()
    await house.holding(life)
    # The real pause, shortened: the command has no clock of its own to move.
    monkeypatch.setattr(account_records, "PAUSE_S", 0.0)
    failed = house.world.fault(on=path, executes="no", answer="html", status=503, times=2)
    await house.check_books(life)
    assert failed.counts["done"] == 2


async def test_an_exchange_that_stays_away_ends_the_comparison(house, monkeypatch):
    """Patience has an end: the comparison fails, and claims nothing."""
    life = await house.begin()
    await house.holding(life)
    # The real patience, at its end from the start.
    monkeypatch.setattr(account_records, "PATIENCE_S", -1.0)
    house.world.fault(on="GET allOrders", executes="no", answer="html", status=503, times=None)
    with pytest.raises(Unavailable):
        await house.check_books(life)


async def test_a_key_that_is_refused_is_a_difference_at_once(house):
    """An account that cannot be asked agrees with nothing: it is named without waiting, and ends nothing."""
    life = await house.begin()
    await house.holding(life)
    house.world.fault(on="GET account", executes="no", answer="error", code=-2015, status=401, times=None)
    found = await look_at_accounts(house.database, life.exchange, Console(quiet=True), tell=False)
    assert len(found) == 1
    assert found[0].startswith(f"paper key {house.api_key_id}: cannot be compared: ")
