"""The process engine's folder: notes of what runs, outputs and volumes. Blocks throughout.

Beside each volume stands a small note that names the process, so that a later run of the
orchestrator finds it again; no secret is in it. This module knows no state and no event loop.
"""

import json
import os
import shutil
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from orchestrator.containers import Address, Environment, Observation, Spec, Usage, key_of, name_of
from orchestrator.engines import home
from orchestrator.engines.base import EngineError, EngineUnavailable
from orchestrator.engines.pids import Process, birth, reap

_GRACE_S = 5.0
_TAIL_BYTES = 8192
_NEVER_CREATED = "Its process was never created, or its note was removed."


@dataclass(frozen=True, slots=True)
class _Note:
    """What is written down of one process; no secret, because it outlives the process."""

    key: str
    volume: str
    nonce: str
    fingerprint: str
    process: Process | None = None
    port: int = 0
    end: str = ""


class Shelf:
    """The folder of notes, outputs and volumes, and the processes they name."""

    def __init__(self, program: Path, state: Path, search_path: str) -> None:
        self._program = program
        self._notes = state / "processes"
        self._volumes = state / "volumes"
        self._search_path = search_path

    def check(self) -> None:
        if not os.access(self._program, os.X_OK):
            raise EngineUnavailable(
                f"OPENCODE_BIN names no program that can be run: {self._program}."
            )

    def create(self, spec: Spec) -> Observation:
        volume = _folder(self._volumes, spec.volume)
        volume.mkdir(mode=0o700, parents=True, exist_ok=True)
        _furnish(volume / home.HOME)
        note = _Note(spec.key, spec.volume, spec.nonce, spec.fingerprint)
        self._write(note)
        return _observed(note, self._volumes)

    def start(self, key: str, environment: Environment) -> Observation:
        self.check()
        note = self._read(key)
        if note is None:
            raise EngineError(_NEVER_CREATED)
        port = _free_port()
        pid = self._spawn(note, port, environment)
        born = birth(pid)
        process = None if born is None else Process(pid, born)
        end = "It ended as soon as it was started." if process is None else ""
        note = replace(note, process=process, port=port, end=end)
        self._write(note)
        return _observed(note, self._volumes)

    def freeze(self, key: str) -> None:
        note = self._current(key)
        if note is None or note.process is None:
            raise EngineError("What does not run can't be frozen.")
        if not note.process.freeze(_GRACE_S):
            raise EngineError("Its process does not stand still.")

    def thaw(self, key: str) -> Observation:
        note = self._current(key)
        if note is None:
            raise EngineError(_NEVER_CREATED)
        if note.process is not None:
            note.process.thaw(_GRACE_S)
        return _observed(note, self._volumes)

    def stop(self, key: str) -> None:
        note = self._read(key)
        if note is not None and note.process is not None:
            note.process.end(_GRACE_S)
            reap(note.process.pid)
            self._write(replace(note, process=None, end="It was stopped."))

    def remove(self, key: str) -> None:
        self.stop(key)
        self._note(key).unlink(missing_ok=True)
        self._output(key).unlink(missing_ok=True)

    def remove_volume(self, volume: str) -> None:
        with suppress(FileNotFoundError):
            shutil.rmtree(_folder(self._volumes, volume))

    def volumes(self) -> list[str]:
        return [name_of(path.name) for path in self._volumes.glob("*/")]

    def find(self, key: str) -> Observation | None:
        note = self._current(key)
        return None if note is None else _observed(note, self._volumes)

    def find_all(self) -> list[Observation]:
        found = [self.find(path.stem) for path in self._notes.glob("*.json")]
        return [seen for seen in found if seen is not None]

    def usage(self, key: str) -> Usage | None:
        note = self._current(key)
        return None if note is None or note.process is None else note.process.usage()

    def last_lines(self, key: str) -> list[str]:
        try:
            with self._output(key).open("rb") as output:
                output.seek(max(0, output.seek(0, os.SEEK_END) - _TAIL_BYTES))
                return output.read().decode("utf-8", "replace").splitlines()
        except FileNotFoundError:
            return []

    def _spawn(self, note: _Note, port: int, environment: Environment) -> int:
        """Start it in a session of its own, so that our end and our Ctrl-C are not its own."""
        volume = _folder(self._volumes, note.volume)
        serve = [str(self._program), "serve", "--hostname", "127.0.0.1", "--port", str(port)]
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        return os.posix_spawn(
            "/bin/sh",
            ["/bin/sh", "-c", 'cd "$0" && exec "$@"', str(volume), *serve],
            {
                **environment.values,
                "PATH": self._search_path,
                "HOME": str(volume / home.HOME),
                "LANG": "C.UTF-8",
            },
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self._output(note.key)), flags, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )

    def _current(self, key: str) -> _Note | None:
        """The note, brought up to date if its process has ended."""
        note = self._read(key)
        if note is None or note.process is None or note.process.lives():
            return note
        note.process.end_kin()
        end = reap(note.process.pid) or "It ended while nobody was watching."
        note = replace(note, process=None, end=end)
        self._write(note)
        return note

    def _note(self, key: str) -> Path:
        return self._notes / f"{key}.json"

    def _output(self, key: str) -> Path:
        return self._notes / f"{key}.log"

    def _read(self, key: str) -> _Note | None:
        try:
            fields = json.loads(self._note(key).read_text("utf-8"))
        except FileNotFoundError:
            return None
        process = fields["process"]
        return _Note(
            key,
            # Each volume had its container's name before notes said it.
            fields.get("volume", name_of(key)),
            fields["nonce"],
            fields["fingerprint"],
            process and Process(**process),
            fields["port"],
            fields["end"],
        )

    def _write(self, note: _Note) -> None:
        self._notes.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._note(note.key).with_suffix(".draft")
        draft.write_text(json.dumps(asdict(note)), "utf-8")
        draft.replace(self._note(note.key))


def _folder(volumes: Path, volume: str) -> Path:
    """Named as the key in the volume's name: OpenCode remembers conversations by their folder."""
    return volumes / (key_of(volume) or volume)


def _observed(note: _Note, volumes: Path) -> Observation:
    process = note.process
    return Observation(
        key=note.key,
        container_id=note.nonce,
        nonce=note.nonce,
        fingerprint=note.fingerprint,
        running=process is not None,
        boot="" if process is None else f"{process.pid}.{process.born}",
        address=None if process is None else Address("127.0.0.1", note.port),
        volume=note.volume,
        frozen=process is not None and process.is_frozen(),
        end=note.end,
        workspace=str(_folder(volumes, note.volume)),
    )


def _free_port() -> int:
    """A port nobody has now. Should somebody take it first, the start fails and is tried again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _furnish(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in home.FOLDERS:
        (folder / name).mkdir(exist_ok=True)
    for name, text in home.FILES.items():
        (folder / name).write_text(text, "utf-8")
