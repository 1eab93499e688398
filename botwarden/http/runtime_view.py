"""GET /runtime, for administrators: which replicas run, what each owns, and its tree of actors.

Everything here is what the replicas told of themselves within the last seconds.
"""

from collections.abc import Sequence

import msgspec
from litestar import get
from litestar.di import NamedDependency

from botwarden.http.dependencies import HttpDeps
from botwarden.persistence import replica_view
from botwarden.persistence.replica_view import ReplicaView


class RuntimeView(msgspec.Struct, frozen=True, kw_only=True):
    """Every replica that told of itself lately."""

    replicas: Sequence[ReplicaView]
    slots: int
    bots: int


@get("/api/v1/runtime", tags=["operations"], summary="Show replicas and actors", opt={"role": "admin"})
async def read_runtime(deps: NamedDependency[HttpDeps]) -> RuntimeView:
    """Return the replicas with what each owns and its tree of actors. For administrators."""
    replicas = await replica_view.read_all(deps.cache.redis)
    return RuntimeView(
        replicas=replicas,
        slots=sum(replica.slots for replica in replicas),
        bots=sum(replica.bots for replica in replicas),
    )


routes = [read_runtime]
