"""What is said to Docker of a container, and what its answers say: JSON in and out, no calls.

Labels carry what never changes; the name tells whose it is, because a claimed spare is renamed. No
secret is in what is built here: those take another way, which `docker_files` knows.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from orchestrator.containers import (
    PORT,
    WORKSPACE,
    Address,
    Limits,
    Observation,
    Spec,
    Usage,
    key_of,
    name_of,
)
from orchestrator.engines.docker_files import IDENTITY, LAUNCHER, USER

MANAGED = "opencode-gateway.managed"
DEPLOYMENT = "opencode-gateway.deployment"
_GENERATION = "opencode-gateway.generation"
_NONCE = "opencode-gateway.nonce"
_FINGERPRINT = "opencode-gateway.config"
_KILLED = 128 + 9
# Raised when containers are to be made differently, so that old ones are replaced.
_SHAPE = 2


@dataclass(frozen=True, slots=True)
class Place:
    """Where this deployment's containers live and how they are reached."""

    deployment: str
    network: str
    reach: str

    def labels(self) -> dict[str, str]:
        return {MANAGED: "true", DEPLOYMENT: self.deployment}

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
        "User": f"{USER}:{USER}",
        "WorkingDir": WORKSPACE,
        "Entrypoint": ["/bin/sh", f"/{LAUNCHER}"],
        "Cmd": [*(own.get("Entrypoint") or []), *(own.get("Cmd") or [])],
        # The way by which a spare is told whose it is.
        "OpenStdin": True,
        "ExposedPorts": {f"{PORT}/tcp": {}},
        "Labels": {
            **place.labels(),
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
        "Mounts": [{"Type": "volume", "Source": spec.volume, "Target": WORKSPACE}],
        # In memory, so that what a spare is told is gone with the run it was told in.
        "Tmpfs": {str(IDENTITY.parent): f"size=1m,mode=0700,uid={USER},gid={USER}"},
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


def key(shown: Mapping[str, Any]) -> str | None:
    """Whose container it is, by its name; None if somebody gave it a name that is none of ours."""
    return key_of(shown["Name"].removeprefix("/"))


def observation(place: Place, key: str, shown: Mapping[str, Any]) -> Observation:
    """What Docker's inspect says, in our words."""
    labels, state = shown["Config"]["Labels"], shown["State"]
    running = bool(state["Running"])
    return Observation(
        key=key,
        container_id=shown["Id"],
        nonce=labels[_NONCE],
        fingerprint=labels[_FINGERPRINT],
        running=running,
        boot=state["StartedAt"],
        volume=_volume(shown),
        frozen=bool(state["Paused"]),
        address=_address(place, key, shown) if running else None,
        end="" if running else _end(state, shown["HostConfig"]["Memory"]),
    )


def usage(told: Mapping[str, Any]) -> Usage | None:
    """What Docker's statistics say; None where they say nothing, as of what does not run."""
    memory, processor = told["memory_stats"], told["cpu_stats"]["cpu_usage"]
    if "usage" not in memory:
        return None
    pages = memory.get("stats", {})
    # Files that were not read lately are given back as soon as somebody needs the memory. The
    # first name is version 1's of Linux' control groups, the second version 2's.
    spare = pages.get("total_inactive_file", pages.get("inactive_file", 0))
    return Usage(max(0, memory["usage"] - spare), processor["total_usage"] / 1e9)


def _volume(shown: Mapping[str, Any]) -> str:
    found = [each["Name"] for each in shown["Mounts"] if each["Destination"] == WORKSPACE]
    return found[0] if found else ""


def _address(place: Place, key: str, shown: Mapping[str, Any]) -> Address | None:
    networks = shown["NetworkSettings"]
    if place.reach == "name":
        return Address(name_of(key), PORT)
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
