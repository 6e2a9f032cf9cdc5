"""A worker's end of the line to its parent: news in and out, and what all workers have counted.

It speaks as soon as it is open and hears once it is followed, so that nothing which happens while
a worker reads the store is missed. It decides nothing about what it hears.
"""

import asyncio
import json
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from gateway import news
from gateway.news import News
from gateway.workers.switchboard import Message
from gateway.workers.totals import Snapshot

logger = logging.getLogger(__name__)

LONGEST_LINE = 1 << 20
_ANSWERS_WITHIN_S = 0.5


@dataclass(slots=True)
class _Question:
    """What the other workers have answered; `of` is how many were asked, once that is known."""

    answers: list[Snapshot] = field(default_factory=list)
    of: int | None = None
    done: anyio.Event = field(default_factory=anyio.Event)


class Bus:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._questions: dict[int, _Question] = {}
        self._asked = 0
        self.lost = anyio.Event()

    @classmethod
    async def open(cls, line: socket.socket) -> "Bus":
        return cls(*await asyncio.open_connection(sock=line, limit=LONGEST_LINE))

    def serves(self) -> None:
        """Say that this worker takes connections from now on."""
        self._say({"serves": True})

    def tell(self, told: News) -> None:
        self._say(news.to_json(told))

    def farewell(self, counted: Snapshot) -> None:
        """Say what this worker counted in its life; nobody asks it any more."""
        self._say({"farewell": counted})

    async def follow(self, take: Callable[[News], None], counted: Callable[[], Snapshot]) -> None:
        """Take in what the others tell and answer what they ask, until the parent has gone."""
        while (line := await self._line()).endswith(b"\n"):
            self._hear(json.loads(line), take, counted)
        self.lost.set()

    async def totals(self, own: Snapshot) -> list[Snapshot]:
        """Return what all workers counted, and those before them; without whoever is late."""
        self._asked += 1
        number, question = self._asked, _Question()
        self._questions[number] = question
        self._say({"ask": number, "snapshot": own})
        try:
            with anyio.move_on_after(_ANSWERS_WITHIN_S) as late:
                await question.done.wait()
        finally:
            del self._questions[number]
        if late.cancelled_caught:
            logger.warning("a worker did not tell in time what it counted")
        return [own, *question.answers]

    async def aclose(self) -> None:
        self._writer.close()
        # The parent may be gone already.
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return

    async def _line(self) -> bytes:
        try:
            return await self._reader.readline()
        except ConnectionError:
            return b""

    def _hear(
        self, message: Message, take: Callable[[News], None], counted: Callable[[], Snapshot]
    ) -> None:
        match message:
            case {"news": _}:
                self._take(message, take)
            case {"ask": number, "to": asker}:
                self._say({"answer": number, "to": asker, "snapshot": counted()})
            case {"asked": number, "of": of, "gone": gone}:
                self._answered(number, gone, of=of)
            case {"answer": number, "snapshot": snapshot}:
                self._answered(number, [snapshot])

    def _take(self, message: Message, take: Callable[[News], None]) -> None:
        try:
            take(news.from_json(message))
        except news.NotUnderstood as error:
            # The store holds what lasts; it is looked up when it is asked for.
            logger.warning("%s", error)

    def _answered(self, number: int, snapshots: list[Snapshot], of: int | None = None) -> None:
        question = self._questions.get(number)
        if question is None:
            return
        if of is not None:
            question.of = of + len(snapshots)
        question.answers += snapshots
        if len(question.answers) == question.of:
            question.done.set()

    def _say(self, message: Message) -> None:
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")
