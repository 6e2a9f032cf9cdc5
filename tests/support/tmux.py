"""A real terminal with a program in it: keys go in, the screen is what a person would see."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from tests.support.installed import installed


@dataclass(frozen=True, slots=True)
class Terminal:
    command: tuple[str, ...]

    async def screen(self) -> str:
        return await anyio.to_thread.run_sync(self._run, "capture-pane", "-p")

    async def shows(self, text: str) -> bool:
        return text in await self.screen()

    async def type(self, text: str) -> None:
        await anyio.to_thread.run_sync(self._run, "send-keys", "-l", text)

    async def press(self, key: str) -> None:
        await anyio.to_thread.run_sync(self._run, "send-keys", key)

    def _run(self, *arguments: str) -> str:
        return subprocess.run(
            [*self.command, *arguments], capture_output=True, text=True, timeout=20, check=True
        ).stdout


@contextmanager
def terminal(folder: Path, program: Sequence[str]) -> Iterator[Terminal]:
    """Run a program in a terminal of its own until the body ends; its home is `folder`."""
    command = (installed("tmux"), "-S", str(folder / "tmux"), "-f", "/dev/null")
    environ = {"HOME": str(folder), "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
    size = ("-x", "140", "-y", "45")
    # What the program said stays on the screen when it ends, to be seen in a failing test.
    stay = (";", "set-option", "remain-on-exit", "on")
    subprocess.run([*command, "new-session", "-d", *size, *program, *stay], env=environ, check=True)
    try:
        yield Terminal(command)
    finally:
        subprocess.run([*command, "kill-server"], check=True)
