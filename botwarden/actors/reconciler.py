"""Looks again for orders that were given up: reads of a venue may lag longer than anybody waits.

    reconciler ──reads──▶ given up in the last day, of our bots
        │ ──spawns──▶ late look of an account ──find──▶ venue
        │ ◀──Looked────────┘   │ ──Commit──▶ committer
                               └──Wake─────▶ bots

Nothing is ever ordered here. What is found is committed under the bot's version and term like any other
outcome; the bot reads its row again and does what the new state asks for.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from botwarden.actors.bots import BotsMessage
from botwarden.actors.committer import Commit
from botwarden.actors.late_look import Account, LateLookActor, Looked
from botwarden.actors.standing import Standing
from botwarden.actors.surroundings import Surroundings
from botwarden.errors import Locked, Unavailable
from botwarden.persistence.given_up import GivenUp, read_given_up
from botwarden.runtime import Actor, ChildSpec, Ref, Restart

#: The first round after a start, when the slots have been taken.
FIRST_ROUND_AFTER_S = 5.0
ROUND_EVERY_S = 60.0

#: What one round asks of the venues at most.
ACCOUNTS_PER_ROUND = 10
ORDERS_PER_ROUND = 60

#: An order is looked for again when a tenth of its age has passed since the last look: about 60 looks a day.
SHARE_OF_AGE = 0.1


@dataclass(frozen=True, slots=True)
class _Round:
    """Look for some of them."""


class ReconcilerActor(Actor[_Round | Looked]):
    """Sends someone to look, some accounts a minute."""

    def __init__(
        self, surroundings: Surroundings, committer: Ref[Commit], bots: Ref[BotsMessage], standing: Standing
    ) -> None:
        self._surroundings = surroundings
        self._committer = committer
        self._bots = bots
        self._standing = standing
        #: When each order was last looked for, by client order id.
        self._looked_at: dict[str, float] = {}

    async def started(self) -> None:
        """Begin soon."""
        self.context.start_timer("round", _Round(), after_s=FIRST_ROUND_AFTER_S)

    async def receive(self, message: _Round | Looked, /) -> None:
        """Look, or note that somebody has looked."""
        match message:
            case Looked(client_order_id=client_order_id):
                self._looked_at[client_order_id] = self.context.clock.monotonic()
            case _Round():
                self.context.start_timer("round", _Round(), after_s=ROUND_EVERY_S)
                await self._look()

    async def _look(self) -> None:
        replica_id = self._standing.replica_id
        if replica_id is None:
            return
        try:
            async with self._surroundings.database.begin() as tx:
                given_up = await read_given_up(tx, replica_id)
        except (Unavailable, Locked):
            return
        known = {it.order.client_order_id for it in given_up}
        self._looked_at = {id_: at for id_, at in self._looked_at.items() if id_ in known}
        # Those that nobody has looked for yet come first, then those that have waited longest.
        due = sorted(filter(self._is_due, given_up), key=self._last_look)[:ORDERS_PER_ROUND]
        for account, orders in islice(_by_account(due).items(), ACCOUNTS_PER_ROUND):
            await self._send_someone(account, orders)

    async def _send_someone(self, account: Account, orders: Sequence[GivenUp]) -> None:
        name = f"late-look:{account.venue}:{account.api_key_id}"
        if self.context.has_child(name):
            return  # It takes long; the others are looked for meanwhile.
        reconciler: Ref[Looked] = self.context.ref
        await self.context.spawn(
            ChildSpec(
                name=name,
                start=lambda: LateLookActor(
                    self._surroundings,
                    account,
                    orders,
                    committer=self._committer,
                    bots=self._bots,
                    reconciler=reconciler,
                ),
                restart=Restart.TEMPORARY,
                wait=False,
            )
        )

    def _last_look(self, given_up: GivenUp) -> float:
        return self._looked_at.get(given_up.order.client_order_id, float("-inf"))

    def _is_due(self, given_up: GivenUp) -> bool:
        waited_s = self.context.clock.monotonic() - self._last_look(given_up)
        return waited_s >= given_up.age_s * SHARE_OF_AGE


def _by_account(orders: Sequence[GivenUp]) -> dict[Account, list[GivenUp]]:
    accounts: defaultdict[Account, list[GivenUp]] = defaultdict(list)
    for it in orders:
        accounts[Account(it.venue, it.api_key_id)].append(it)
    return accounts
