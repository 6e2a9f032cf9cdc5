"""A Docker Engine of a test's own, which it may kill; the one that all tests share it may not.

It has the agent image and networks without a way out, so that it leaves the machine's packet rules
to whoever made them. Only root can have one.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from orchestrator.settings import DEFAULT_IMAGE
from tests.support.absent import absent
from tests.support.waiting import until

_STARTS_WITHIN_S = 60
_BRIDGE = "ownengine0"
_ADDRESS = "198.18.0.1/24"  # of the block that is set aside for tests of networks


@dataclass(slots=True)
class OwnEngine:
    """`folder` is all that there is of it on disk."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"unix://{self.folder}/engine.sock"

    async def start(self) -> None:
        """Start it, and return when it answers."""
        await anyio.to_thread.run_sync(self._start)
        await until(self.answers, "an engine of the test's own", _STARTS_WITHIN_S)

    async def kill(self) -> None:
        """End it without warning; what runs in its containers goes on."""
        assert self.process is not None
        runtime = (self.folder / "exec/containerd/containerd.pid").read_text("ascii")
        self.process.send_signal(signal.SIGKILL)
        await anyio.to_thread.run_sync(self.process.wait)
        # It dies with the engine, a moment later: one started in that moment would count on it.
        await until(partial(_has_ended, runtime), "the end of its runtime")

    async def answers(self) -> bool:
        asked = ["docker", "-H", self.address, "version"]
        done = await anyio.run_process(asked, check=False)
        return done.returncode == 0

    async def load(self, image: str) -> None:
        """Take an image over from the engine that the tests have."""
        there = f"docker save {image} | docker -H {self.address} load"
        await anyio.run_process(there)

    def _start(self) -> None:
        roots = [f"--data-root={self.folder}/data", f"--exec-root={self.folder}/exec"]
        paths = [*roots, f"--pidfile={self.folder}/pid", f"--host={self.address}"]
        # Without a bridge named, it takes the shared engine's; told to have none, it deletes that.
        subprocess.run(["ip", "link", "add", _BRIDGE, "type", "bridge"], check=False)
        subprocess.run(["ip", "addr", "add", _ADDRESS, "dev", _BRIDGE], check=False)
        quiet = [f"--bridge={_BRIDGE}", "--iptables=false", "--host-gateway-ip=127.0.0.1"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["dockerd", *paths, *quiet], stdout=log, stderr=log, start_new_session=True
            )

    async def end(self) -> None:
        """End it with its containers, and leave nothing of it."""
        if self.process is None or self.process.poll() is not None:
            await self.start()  # nobody else ends what still runs in its containers
        assert self.process is not None
        line = f"docker -H {self.address}"
        await anyio.run_process(f"{line} ps -aq | xargs -r {line} rm --force", check=False)
        await anyio.run_process(f"{line} network prune --force", check=False)
        self.process.terminate()
        await anyio.to_thread.run_sync(self.process.wait)
        # Who was killed once has mounted its folder twice.
        while (
            await anyio.run_process(["umount", f"{self.folder}/data"], check=False)
        ).returncode == 0:
            continue
        await anyio.run_process(["ip", "link", "delete", _BRIDGE], check=False)
        await anyio.to_thread.run_sync(shutil.rmtree, self.folder)


async def _has_ended(pid: str) -> bool:
    return not await anyio.Path(f"/proc/{pid.strip()}").exists()


@asynccontextmanager
async def own_engine(image: str = DEFAULT_IMAGE) -> AsyncIterator[OwnEngine]:
    """Have one with the image while the body runs."""
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        absent("Only root, with dockerd, can have an engine that may be killed.")
    # Not in pytest's own folder: a socket's path must be short.
    engine = OwnEngine(Path(tempfile.mkdtemp(prefix="engine-", dir="/var/tmp")))
    try:
        await engine.start()
        await engine.load(image)
        yield engine
    finally:
        with anyio.CancelScope(shield=True):
            await engine.end()
