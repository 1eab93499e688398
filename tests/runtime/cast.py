"""The actors that the kernel's tests put on the stage."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botwarden.runtime import Actor, ChildGaveUp, Next, Reply, Terminated


class BoomError(Exception):
    """Raised on purpose."""


@dataclass(frozen=True, slots=True)
class Boom:
    """Crash."""

    text: str = "boom"


@dataclass(frozen=True, slots=True)
class Leave:
    """Stop by yourself."""


@dataclass(frozen=True, slots=True)
class Get:
    """Answer with the notes of the present life."""

    reply: Reply[list[Any]]


@dataclass(frozen=True, slots=True)
class Do:
    """Run this inside `receive`, and answer with what it returns."""

    work: Callable[["Diary"], Any]
    reply: Reply[Any] | None = None


@dataclass
class Book:
    """What several lives wrote, in one order."""

    lines: list[Any] = field(default_factory=list)

    def add(self, *line: Any) -> None:
        self.lines.append(line if len(line) > 1 else line[0])


class Diary(Actor[Any]):
    """Writes down whatever happens to it."""

    def __init__(self, book: Book | None = None) -> None:
        self.notes: list[Any] = []
        self.book = book or Book()

    async def receive(self, message: Any, /) -> Next | None:
        match message:
            case Boom(text=text):
                raise BoomError(text)
            case Leave():
                return Next.STOP
            case Get(reply=reply):
                reply.send(list(self.notes))
            case Do(work=work, reply=reply):
                result = await work(self)
                if reply is not None:
                    reply.send(result)
            case _:
                self.notes.append(message)
                self.book.add(message)
        return Next.CONTINUE

    async def child_gave_up(self, failure: ChildGaveUp) -> None:
        self.book.add("gave up", failure.name)

    async def terminated(self, death: Terminated) -> None:
        self.book.add("terminated", death.name)


class Guest(Diary):
    """A diary that also writes down how it comes and goes."""

    async def started(self) -> None:
        self.book.add("started", self.context.name)

    async def stopped(self) -> None:
        self.book.add("stopped", self.context.name)


class Stuck(Diary):
    """Takes for ever over every message."""

    async def receive(self, _message, /):
        try:
            await asyncio.Event().wait()
        finally:
            self.book.add("cut off", self.context.name)


def silent(*_: object) -> None:
    """Report a crash to nobody: it was made on purpose."""


def own_tasks() -> set[asyncio.Task[Any]]:
    """Return all tasks but the test's own."""
    return asyncio.all_tasks() - {asyncio.current_task()}
