"""One of our programs, which tells what tasks it has when it is asked by a signal.

`python -m tests.support.counted_program NAME`: on SIGUSR1 it writes them to `TASKS_IN`, a folder,
under its own process id; a file appears whole or not at all.
"""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path

from gateway.cli import main
from gateway.cli.environment import environment


def told_by_signal(folder: Path) -> None:
    def tell(*_: object) -> None:
        names = Counter(task.get_coro().__qualname__ for task in asyncio.all_tasks())  # type: ignore[union-attr]
        draft = folder / f".{os.getpid()}"
        draft.write_text(json.dumps(names), "utf-8")
        draft.rename(folder / str(os.getpid()))

    signal.signal(signal.SIGUSR1, tell)


if __name__ == "__main__":
    told_by_signal(Path(environment()["TASKS_IN"]))
    sys.exit(main(sys.argv[1:]))
