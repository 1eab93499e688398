"""Where messages wait for an actor.

An inbox is bounded and never blocks the sender: what does not fit is refused, and messages that share a
key are conflated, so that a slow actor finds the newest price and not a thousand old ones. The invariant:
what was accepted leaves in the order of its arrival, and only once.
"""

from collections.abc import Callable, Hashable
from typing import Any, Final, Generic, TypeVar

import msgspec

M_contra = TypeVar("M_contra", contravariant=True)


class InboxSpec(msgspec.Struct, Generic[M_contra], frozen=True):
    """How much may wait, and what happens to the rest."""

    #: Messages of senders beyond this many are refused; the actor's own timers always find room.
    capacity: int = 1000
    #: Messages with the same key are conflated: the newest takes the place of the one that waits.
    #: None, or a key of None, conflates nothing.
    newest_per: Callable[[M_contra], Hashable | None] | None = None

    def __post_init__(self) -> None:
        if self.capacity < 1:
            raise ValueError("an inbox holds at least one message")


#: The taken head of the list is cut off when it is so long.
TIDY_AFTER = 256

#: What an empty inbox gives.
NOTHING: Final = object()


class Envelope:
    """A message with something to it; the kernel opens it on the way out."""

    __slots__ = ("message",)

    def __init__(self, message: Any) -> None:
        self.message = message


class Kept(Envelope):
    """A conflated message; its text changes while it waits."""

    __slots__ = ("key",)

    def __init__(self, key: Hashable, message: Any) -> None:
        super().__init__(message)
        self.key = key


class Inbox:
    """The mail of one actor. Costs a few words while it is empty."""

    __slots__ = ("_kept", "_spec", "_taken", "_waiting", "is_open")

    def __init__(self, spec: InboxSpec[Any]) -> None:
        self._spec = spec
        #: A list, because a deque is six times as large and slower to make while one message waits.
        self._waiting: list[Any] | None = None
        #: How many at the head of the list have been taken already.
        self._taken = 0
        self._kept: dict[Hashable, Kept] | None = None
        #: A closed inbox refuses everything, for ever.
        self.is_open = True

    def __len__(self) -> int:
        return len(self._waiting) - self._taken if self._waiting else 0

    def offer(self, message: Any) -> bool:
        """Accept the message, or return False: full or closed."""
        if not self.is_open:
            return False
        spec = self._spec
        if spec.newest_per is not None and not isinstance(message, Envelope):
            key = spec.newest_per(message)
            if key is not None:
                return self._keep_newest(key, message)
        waiting = self._waiting
        if waiting is None:
            self._waiting = [message]
        elif len(waiting) - self._taken < spec.capacity:
            waiting.append(message)
        else:
            return False
        return True

    def put(self, envelope: Envelope) -> None:
        """Accept the envelope although the inbox may be full; a closed inbox drops it."""
        if self._waiting is not None:
            self._waiting.append(envelope)
        elif self.is_open:
            self._waiting = [envelope]

    def take(self) -> Any:
        """Return what has waited longest; `NOTHING` if nothing waits."""
        waiting, taken = self._waiting, self._taken
        if waiting is None:
            return NOTHING
        mail = waiting[taken]
        taken += 1
        if taken == len(waiting):
            self._waiting, taken = None, 0
        elif taken == TIDY_AFTER:
            del waiting[:taken]
            taken = 0
        else:
            waiting[taken - 1] = None
        self._taken = taken
        if self._kept and isinstance(mail, Kept):
            del self._kept[mail.key]
            return mail.message
        return mail

    def close(self) -> list[Any]:
        """Refuse everything from now on; return what waited, oldest first."""
        self.is_open = False
        lost = (self._waiting or [])[self._taken :]
        self._waiting, self._taken, self._kept = None, 0, None
        return lost

    def _keep_newest(self, key: Hashable, message: Any) -> bool:
        if self._kept is None:
            self._kept = {}
        kept = self._kept.get(key)
        if kept is not None:
            kept.message = message
            return True
        if len(self) >= self._spec.capacity:
            return False
        kept = self._kept[key] = Kept(key, message)
        self.put(kept)
        return True
