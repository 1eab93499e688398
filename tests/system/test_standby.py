"""The database's server is lost, and another takes its place."""

import pytest

from chaos.line import postgres_target
from chaos.standby import standing_by
from tests.system.conftest import shared_folder
from tests.system.fleet import open_fleet, trades

pytestmark = [pytest.mark.anyio, pytest.mark.system, pytest.mark.timeout(180)]


async def test_a_synchronous_standby_takes_the_databases_place(data_dir):
    """After a fail-over nothing is missing, neither orders nor states, and the bots trade on."""
    async with open_fleet(data_dir, through_lines=True) as fleet:
        await fleet.begin()
        for _ in range(2):
            await fleet.start(await fleet.hire())
        await fleet.until(trades(1))
        with shared_folder() as folder:
            async with standing_by(fleet.world.servers, folder) as standby:
                await fleet.trades_on()
                line = fleet.networks[0].postgres
                await line.cut()
                await standby.promote()
                fleet.database_url = standby.database_url
                await line.lead_to(postgres_target(standby.database_url))
                await fleet.trades_on()
                await fleet.check_books()
