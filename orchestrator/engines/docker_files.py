"""What is put into a container beside its image: archives, the launcher, and a spare's identity.

No secret is in Docker's own view of a container, and none stays in its file system: the launcher
deletes itself, and what a spare is told is kept in memory only. Nothing here calls Docker.
"""

import io
import shlex
import tarfile
from pathlib import PurePosixPath

from orchestrator.containers import WORKSPACE, Environment
from orchestrator.engines import home

USER = 1000
LAUNCHER = "opencode-gateway/start"
# OpenCode's managed configuration: read whenever an instance is loaded, and over a project's own.
IDENTITY = PurePosixPath("/etc/opencode/opencode.json")
BOUND = b"It was told its agent."
# Reads one line, once. As a grandchild it is the init's to reap, and not the program's.
_EAR = f"""( ( umask 077; IFS= read -r identity <&3 &&
  printf '%s\\n' "$identity" > {IDENTITY} && echo '{BOUND.decode()}' ) & )
"""


def volume_archive() -> bytes:
    """Folders in the volume that OpenCode's user owns, whatever the image made of its root."""
    at = f"{WORKSPACE[1:]}/{home.HOME}"
    return _archive(
        [
            (_folder(WORKSPACE[1:], 0o755), b""),
            (_folder(at, 0o700), b""),
            *((_folder(f"{at}/{name}", 0o755), b"") for name in home.FOLDERS),
            *((_file(f"{at}/{name}", 0o644), text.encode()) for name, text in home.FILES.items()),
        ]
    )


def secrets_archive(environment: Environment, *, listens: bool) -> bytes:
    """The launcher: it deletes itself, exports the environment and becomes the real program.

    Where it did not get so far, `spent_archive` takes its place. A spare `listens` for its identity
    on the standard input, which takes 5 ms: an archive put into it takes Docker 60 and more.
    """
    values = {"HOME": f"{WORKSPACE}/{home.HOME}", **environment.values}
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
    ear = _EAR if listens else ""
    return _launcher(f'rm -f "$0"\n{exports}exec 3<&0 </dev/null\n{ear}exec "$@" 3<&-\n')


def spent_archive() -> bytes:
    """A launcher without secrets, over one that may still hold some: Docker can't delete a file."""
    return _launcher("exit 2\n")


def _launcher(script: str) -> bytes:
    folder, _, _ = LAUNCHER.partition("/")
    return _archive([(_folder(folder, 0o700), b""), (_file(LAUNCHER, 0o400), script.encode())])


def _archive(entries: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for entry, content in entries:
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _folder(name: str, mode: int) -> tarfile.TarInfo:
    entry = _file(name, mode)
    entry.type = tarfile.DIRTYPE
    return entry


def _file(name: str, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.uid, entry.gid = mode, USER, USER
    return entry
