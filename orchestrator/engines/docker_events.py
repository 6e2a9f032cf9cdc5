"""Docker's event stream, brought from a blocking thread of its own to the event loop.

Only what ends, removes, freezes, thaws or renames is listened for, and only of this deployment's
containers. What an event means is not known here: it is a reason to look.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from orchestrator.containers import key_of
from orchestrator.engines.base import EngineError, EngineUnavailable

Word = str | EngineError | None
# With "oom", a tool that was killed for its memory is noticed although the server lives on.
_EVENTS = ["die", "destroy", "oom", "pause", "rename", "unpause"]


class DockerEvents:
    """One connection to the engine's events, until it breaks or is closed."""

    def __init__(
        self,
        connect: Callable[[], Any],
        filters: dict[str, list[str]],
        translated: Callable[[Exception], EngineError],
    ) -> None:
        self._connect = connect
        self._filters = {**filters, "type": ["container"], "event": _EVENTS}
        self._translated = translated
        self._loop = asyncio.get_running_loop()
        self._words: asyncio.Queue[Word] = asyncio.Queue()
        self._stream: Any = None
        self._closed = threading.Event()
        # No worker thread of the loop: those are waited for at its end, and this one is unblocked
        # only by closing its socket.
        self._thread = threading.Thread(target=self._listen, name="docker-events", daemon=True)

    async def heard(self) -> AsyncIterator[str | None]:
        self._thread.start()
        while True:
            word = await self._words.get()
            if isinstance(word, EngineError):
                raise word
            yield word

    def close(self) -> None:
        self._closed.set()
        if self._stream is not None:
            self._stream.close()

    def _listen(self) -> None:
        try:
            client = self._connect()
            try:
                self._stream = client.events(decode=True, filters=self._filters)
                self._read()
            finally:
                client.close()
            self._say(EngineUnavailable("The Docker Engine ended its stream of events."))
        except Exception as error:  # noqa: BLE001 - this thread's outermost frame
            self._say(self._translated(error))

    def _read(self) -> None:
        self._say(None)
        if not self._closed.is_set():
            for event in self._stream:
                self._tell(event["Actor"]["Attributes"])

    def _tell(self, attributes: dict[str, str]) -> None:
        """Say whose it is, and whose it was if it was renamed; other names mean nobody to us."""
        for name in (attributes["name"], attributes.get("oldName", "")):
            key = key_of(name.removeprefix("/"))
            if key is not None:
                self._say(key)

    def _say(self, word: Word) -> None:
        with suppress(RuntimeError):  # the loop has ended, so nobody listens
            self._loop.call_soon_threadsafe(self._words.put_nowait, word)
