"""GET /runtime, for administrators: which replicas run, what each owns, and its tree of actors.

Everything here is what the replicas told of themselves within the last seconds.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency

from botwarden.errors import Forbidden
from botwarden.persistence import replica_view
from botwarden.persistence.cache import JsonCache
from botwarden.persistence.replica_view import ReplicaView
from botwarden.persistence.users import SessionUser


class RuntimeView(msgspec.Struct, frozen=True, kw_only=True):
    """Every replica that told of itself lately."""

    replicas: Sequence[ReplicaView]
    #: Of all replicas together.
    slots: int
    bots: int


class Replicas:
    """What the replicas tell of themselves."""

    def __init__(self, cache: JsonCache) -> None:
        self._cache = cache

    async def read(self) -> RuntimeView:
        """Return all of them. Raises `Unavailable` while Redis is away."""
        replicas = await replica_view.read_all(self._cache.redis)
        return RuntimeView(
            replicas=replicas,
            slots=sum(replica.slots for replica in replicas),
            bots=sum(replica.bots for replica in replicas),
        )


@get("/api/v1/runtime", tags=["operations"], summary="Show replicas and actors")
async def read_runtime(
    request: Request[SessionUser, Any, Any], replicas: NamedDependency[Replicas]
) -> RuntimeView:
    """Return the replicas with what each owns and its tree of actors. For administrators."""
    if request.user.role != "admin":
        raise Forbidden
    return await replicas.read()


routes = [read_runtime]
