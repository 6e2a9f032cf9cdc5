"""What is said to Docker of a container, and what its answers say: JSON and archives, no calls.

Labels carry what never changes; the name tells the session. No secret is in what is built here,
except in `secrets_archive`, which goes into the container's own file system.
"""

import io
import json
import shlex
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from orchestrator.containers import (
    PORT,
    WORKSPACE,
    Address,
    Environment,
    Limits,
    Observation,
    Spec,
    name_of,
)

MANAGED = "opencode-gateway.managed"
DEPLOYMENT = "opencode-gateway.deployment"
SESSION = "opencode-gateway.session"
_GENERATION = "opencode-gateway.generation"
_NONCE = "opencode-gateway.nonce"
_FINGERPRINT = "opencode-gateway.config"
_USER = 1000
_LAUNCHER = "opencode-gateway/start"
_KILLED = 128 + 9
# Raised when containers are to be made differently, so that old ones are replaced.
_SHAPE = 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where this deployment's containers live and how they are reached."""

    deployment: str
    network: str
    reach: str

    def labels(self, session_id: str) -> dict[str, str]:
        return {MANAGED: "true", DEPLOYMENT: self.deployment, SESSION: session_id}

    def owns(self, labels: Mapping[str, str] | None) -> bool:
        return labels is not None and labels.get(DEPLOYMENT) == self.deployment

    def filters(self) -> dict[str, list[str]]:
        return {"label": [f"{MANAGED}=true", f"{DEPLOYMENT}={self.deployment}"]}


def fingerprint(
    place: Place, image: Mapping[str, Any], network: Mapping[str, Any], limits: Limits
) -> str:
    """Image and network by id: a name may come to mean another one."""
    parts = [_SHAPE, image["Id"], network["Id"], place.reach]
    parts += [limits.memory_bytes, limits.cpus, limits.pids]
    return sha256(json.dumps(parts).encode()).hexdigest()[:32]


def configuration(place: Place, spec: Spec, image: Mapping[str, Any]) -> dict[str, Any]:
    """The body of Docker's create call. The image's own program starts behind our launcher."""
    own = image["Config"]
    return {
        "Image": spec.image,
        "User": f"{_USER}:{_USER}",
        "WorkingDir": WORKSPACE,
        "Entrypoint": ["/bin/sh", f"/{_LAUNCHER}"],
        "Cmd": [*(own.get("Entrypoint") or []), *(own.get("Cmd") or [])],
        "ExposedPorts": {f"{PORT}/tcp": {}},
        "Labels": {
            **place.labels(spec.session_id),
            _GENERATION: str(spec.generation),
            _NONCE: spec.nonce,
            _FINGERPRINT: spec.fingerprint,
        },
        "HostConfig": _host_configuration(place, spec),
    }


def _host_configuration(place: Place, spec: Spec) -> dict[str, Any]:
    published = {f"{PORT}/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}
    return {
        "NetworkMode": place.network,
        "PortBindings": published if place.reach == "port" else {},
        "ExtraHosts": ["host.docker.internal:host-gateway"],
        "Mounts": [{"Type": "volume", "Source": name_of(spec.session_id), "Target": WORKSPACE}],
        # As process 1, OpenCode ignores SIGTERM and reaps nobody: it gets an init.
        "Init": True,
        "Memory": spec.limits.memory_bytes,
        "MemorySwap": spec.limits.memory_bytes,  # memory and swap together: no swap
        "NanoCpus": round(spec.limits.cpus * 1_000_000_000),
        "PidsLimit": spec.limits.pids,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}},
    }


def observation(place: Place, shown: Mapping[str, Any]) -> Observation:
    """What Docker's inspect says, in our words."""
    labels, state = shown["Config"]["Labels"], shown["State"]
    running = bool(state["Running"])
    return Observation(
        session_id=labels[SESSION],
        container_id=shown["Id"],
        nonce=labels[_NONCE],
        fingerprint=labels[_FINGERPRINT],
        running=running,
        boot=state["StartedAt"],
        address=_address(place, labels[SESSION], shown) if running else None,
        end="" if running else _end(state, shown["HostConfig"]["Memory"]),
    )


def _address(place: Place, session_id: str, shown: Mapping[str, Any]) -> Address | None:
    networks = shown["NetworkSettings"]
    if place.reach == "name":
        return Address(name_of(session_id), PORT)
    if place.reach == "port":
        bindings = networks["Ports"].get(f"{PORT}/tcp") or []
        return Address("127.0.0.1", int(bindings[0]["HostPort"])) if bindings else None
    address = networks["Networks"].get(place.network, {}).get("IPAddress")
    return Address(address, PORT) if address else None


def _end(state: Mapping[str, Any], memory_bytes: int) -> str:
    if state["Status"] == "created":
        return f"It was never started. {state['Error']}".strip()
    code = state["ExitCode"]
    # Docker's mark is also set when a child alone was killed and the server went on.
    if state["OOMKilled"] and code == _KILLED:
        return f"It was killed because it used all its memory ({memory_bytes >> 20} MiB)."
    if code > 128:
        return f"It was ended by signal {code - 128}."
    return f"It ended by itself with exit code {code}."


def volume_archive() -> bytes:
    """Folders in the volume that OpenCode's user owns, whatever the image made of its root."""
    home = f"{WORKSPACE[1:]}/.home"
    return _archive(
        [
            (_folder(WORKSPACE[1:], 0o755), b""),
            (_folder(home, 0o700), b""),
            # The home lies in the workspace, which may be a repository: it is none of its files.
            (_file(f"{home}/.gitignore", 0o644), b"*\n"),
        ]
    )


def secrets_archive(environment: Environment) -> bytes:
    """The launcher: it deletes itself, exports the environment and becomes the real program.

    So no secret is in Docker's own view of the container, and none stays in its file system once
    it has run. Where it did not get so far, `spent_archive` takes its place.
    """
    values = {"HOME": f"{WORKSPACE}/.home", **environment.values}
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
    return _launcher(f'rm -f "$0"\n{exports}exec "$@"\n')


def spent_archive() -> bytes:
    """A launcher without secrets, over one that may still hold some: Docker can't delete a file."""
    return _launcher("exit 2\n")


def _launcher(script: str) -> bytes:
    folder, _, _ = _LAUNCHER.partition("/")
    return _archive([(_folder(folder, 0o700), b""), (_file(_LAUNCHER, 0o400), script.encode())])


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
    entry.mode, entry.uid, entry.gid = mode, _USER, _USER
    return entry
