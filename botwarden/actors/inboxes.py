"""How much mail may wait for those who serve all bots: whoever is refused would wait for ever."""

from typing import Any

from botwarden.runtime import InboxSpec

#: One message of each of a hundred thousand bots may wait here.
WIDE = InboxSpec[Any](capacity=200_000)
