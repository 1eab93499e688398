"""The store tells what is on disk, and fails for good when it cannot write."""

from pathlib import Path

import anyio
import pytest

from botwarden.exchange.paper import changes
from botwarden.exchange.paper.store import Store, StoreError

pytestmark = pytest.mark.anyio


async def test_what_is_settled_is_on_disk(tmp_path: Path) -> None:
    """Changes handed over one by one are settled in their order, and a later owner reads them."""
    kept = Store(tmp_path / "s.sqlite")
    for number in range(1, 200):
        kept.write(
            [changes.put_account(number, f"k{number}", "s"), changes.put_balance(number, "USDT", 10**30, 0)]
        )
    await kept.settled()
    assert len(kept.accounts()) == 199
    kept.write([changes.put_position("m", 5)])
    kept.close()
    again = Store(tmp_path / "s.sqlite")
    assert again.position("m") == 5
    assert {free for _, _, free, _ in again.balances()} == {10**30}
    again.close()


async def test_a_failed_write_is_final(tmp_path: Path) -> None:
    """Nothing of a change that fails is kept; who waits for it, or for the store's failure, is told."""
    kept = Store(tmp_path / "s.sqlite")
    kept.write([changes.put_account(1, "k", "s"), ("INSERT INTO nowhere VALUES (1)", ())])
    with pytest.raises(StoreError, match="nowhere"):
        await kept.settled()
    with pytest.raises(StoreError, match="nowhere"), anyio.fail_after(5):
        await kept.failure()
    kept.write([changes.put_account(2, "l", "s")])
    with pytest.raises(StoreError), anyio.fail_after(5):
        await kept.settled()
    kept.close()
    again = Store(tmp_path / "s.sqlite")
    assert again.accounts() == []
    again.close()


async def test_a_file_that_is_no_store(tmp_path: Path) -> None:
    """A foreign file is refused and left alone."""
    path = tmp_path / "s.sqlite"
    path.write_bytes(b"not a database, but long enough to look like one " * 100)
    with pytest.raises(StoreError, match="not a database"):
        Store(path)
