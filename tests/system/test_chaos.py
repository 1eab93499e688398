"""A short storm: the whole of it is `./dev chaos`."""

from functools import partial

import anyio
import pytest

from chaos.__main__ import report, run

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

SECONDS, SEED = 12, 4


def test_nothing_happens_twice_and_nothing_is_forgotten(data_dir):
    """Replicas, servers and exchange are killed, frozen and deceived; every count that should be zero is."""
    storm = partial(run, data_dir, seconds=SECONDS, seed=SEED)
    toll, verdict = anyio.run(storm)
    report(toll, verdict, seconds=SECONDS, seed=SEED)
    assert verdict.is_clean
    assert toll.kills >= 1
    assert verdict.trades >= 1
    assert verdict.commits > verdict.trades
