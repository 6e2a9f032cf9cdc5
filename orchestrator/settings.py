"""What an operator may choose for the orchestrator, read once and checked before anything starts.

Every bad value is a SettingsError whose sentence names the variable and what it may be. It is
given the environment as a mapping and does not know what the values are used for.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.admission import Allowance
from orchestrator.containers import Limits
from orchestrator.keys import read_or_make
from orchestrator.ladder import Policy
from orchestrator.terms import Rules, Terms, Wish

DEFAULT_IMAGE = "opencode-gateway-agent:1.18.33"
_ENGINES = ("auto", "docker", "process")
_REACHES = ("auto", "name", "ip", "port")
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_DOCKER_VARIABLES = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
_SHORTEST_SECRET = 16
_MIB = 1 << 20
_GIB = 1 << 30
_LONGEST_S = 10 * 365 * 86400
_DATABASES = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}


class SettingsError(Exception):
    """The environment asks for something that can't be; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`key` is what container passwords and the deployment's own mark derive from."""

    host: str
    port: int
    state: Path
    database_url: str = field(repr=False)
    service_secret: str = field(repr=False)
    key: bytes = field(repr=False)
    engine: str
    network: str
    reach: str
    docker: Mapping[str, str]
    opencode: Path | None
    search_path: str
    agent_images: tuple[str, ...]
    limits: Limits
    start_timeout_s: float
    terms: Terms
    log_level: str
    stop_containers_on_exit: bool = False


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Check every value; make the keys that are missing. Raises SettingsError."""
    values = {name: value.strip() for name, value in environ.items() if value.strip()}
    state = _state(values)
    images, limits = _agent_images(values), _limits(values)
    return Settings(
        host=values.get("ORCHESTRATOR_HOST", "127.0.0.1"),
        port=_whole(values, "ORCHESTRATOR_PORT", 8001, 0, 65535),
        state=state,
        database_url=_database_url(values, state),
        service_secret=_service_secret(values, state),
        key=_key(state),
        engine=_one_of(values, "ENGINE", _ENGINES),
        network=_network(values),
        reach=_reach(values),
        docker={name: values[name] for name in _DOCKER_VARIABLES if name in values},
        opencode=_opencode(values),
        search_path=values.get("PATH", os.defpath),
        agent_images=images,
        limits=limits,
        start_timeout_s=_number(values, "START_TIMEOUT_S", 60, 1, 3600),
        terms=_terms(values, Wish(_pool_size(values), images[0], limits)),
        log_level=_one_of(values, "LOG_LEVEL", _LOG_LEVELS, "INFO"),
    )


def _state(values: Mapping[str, str]) -> Path:
    text = values.get("STATE", ".state")
    if not text.isprintable() or "?" in text:
        # The database's address is made from it, where a question mark begins the options.
        raise SettingsError(f"STATE must be a folder's name without a question mark, not {text!r}.")
    return Path(text).absolute()


def _database_url(values: Mapping[str, str], state: Path) -> str:
    default = f"sqlite:///{state / 'orchestrator.db'}"
    text = values.get("ORCHESTRATOR_DATABASE_URL", default)
    scheme, mark, rest = text.partition("://")
    if not mark or scheme not in _DATABASES or len(rest) < 2:
        # The value is not repeated: a database's address may hold its password.
        raise SettingsError(
            "ORCHESTRATOR_DATABASE_URL must be like sqlite:////data/orchestrator.db "
            "or postgresql://user:password@host/name."
        )
    return f"{_DATABASES[scheme]}://{rest}"


def _service_secret(values: Mapping[str, str], state: Path) -> str:
    if "SERVICE_SECRET" in values and "SERVICE_SECRET_FILE" in values:
        raise SettingsError("Set SERVICE_SECRET or SERVICE_SECRET_FILE, not both.")
    secret = values.get("SERVICE_SECRET")
    if "SERVICE_SECRET_FILE" in values:
        secret = _read(Path(values["SERVICE_SECRET_FILE"]))
    if secret is None:
        secret = _kept(state / "keys" / "service.secret")
    if len(secret) < _SHORTEST_SECRET or not (secret.isascii() and secret.isprintable()):
        raise SettingsError(
            f"The service secret must be at least {_SHORTEST_SECRET} printable ASCII characters; "
            "set SERVICE_SECRET_FILE to a file that holds one, the same for both programs."
        )
    return secret


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise SettingsError(f"SERVICE_SECRET_FILE can't be read: {path}: {error}.") from error


def _key(state: Path) -> bytes:
    path = state / "keys" / "orchestrator.key"
    key = _kept(path).encode()
    if len(key) < _SHORTEST_SECRET:
        raise SettingsError(
            f"{path} must hold at least {_SHORTEST_SECRET} characters. Put the old key back: "
            "with another one, no container that runs now can be adopted."
        )
    return key


def _kept(path: Path) -> str:
    try:
        return read_or_make(path)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"STATE needs a folder this program may write: {path}: {error}."
        ) from error


def _network(values: Mapping[str, str]) -> str:
    name = values.get("NETWORK", "opencode-network")
    if not name.isascii() or not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise SettingsError(f"NETWORK must be the name of a Docker network, not {name!r}.")
    return name


def _reach(values: Mapping[str, str]) -> str:
    reach = _one_of(values, "REACH", _REACHES)
    if reach != "auto":
        return reach
    # Only on Linux do containers share a network with the machine itself.
    return "ip" if sys.platform == "linux" else "port"


def _opencode(values: Mapping[str, str]) -> Path | None:
    name = values.get("OPENCODE_BIN", "opencode")
    found = shutil.which(name, path=values.get("PATH"))
    if found is None and "OPENCODE_BIN" in values:
        raise SettingsError(f"OPENCODE_BIN names no program that can be run: {name}.")
    return None if found is None else Path(found).absolute()


def _agent_images(values: Mapping[str, str]) -> tuple[str, ...]:
    text = values.get("AGENT_IMAGES", DEFAULT_IMAGE)
    images = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not images or any(name.split() != [name] or not name.isprintable() for name in images):
        raise SettingsError(f"AGENT_IMAGES must be image names with commas between, not {text!r}.")
    return images


def _limits(values: Mapping[str, str]) -> Limits:
    return Limits(
        memory_bytes=_whole(values, "MEMORY_BYTES", 2 * _GIB, _GIB // 4, 1 << 50),
        cpus=_number(values, "CPUS", 1, 0.01, 1024),
        pids=_whole(values, "PIDS", 512, 16, 1 << 22),
    )


def _terms(values: Mapping[str, str], spares: Wish) -> Terms:
    cores = os.cpu_count() or 1
    return Terms(
        rules=Rules(
            policy=_policy(values),
            drain_s=_number(values, "DRAIN_S", 30, 0, 3600),
            recycle_above_bytes=_whole(values, "RECYCLE_ABOVE_MB", 1536, 0, 1 << 30) * _MIB,
        ),
        allowance=_allowance(values),
        spares=spares,
        starts_at_once=_whole(values, "START_CONCURRENCY", max(2, cores), 1, 1024),
    )


def _policy(values: Mapping[str, str]) -> Policy:
    return Policy(
        freeze_after_s=_number(values, "FREEZE_AFTER_S", 300, 0, _LONGEST_S),
        stop_after_s=_number(values, "STOP_AFTER_S", 7200, 0, _LONGEST_S),
        remove_after_s=_number(values, "REMOVE_AFTER_S", 0, 0, _LONGEST_S),
        ask_wait_s=_number(values, "ASK_WAIT_S", 14400, 0, _LONGEST_S),
    )


def _allowance(values: Mapping[str, str]) -> Allowance:
    return Allowance(
        max_containers=_whole(values, "MAX_CONTAINERS", 0, 0, 1 << 20),
        max_containers_per_user=_whole(values, "MAX_CONTAINERS_PER_USER", 0, 0, 1 << 20),
        memory_total_bytes=_whole(values, "MEMORY_TOTAL_BYTES", 0, 0, 1 << 50),
        memory_per_user_bytes=_whole(values, "MEMORY_PER_USER_BYTES", 0, 0, 1 << 50),
        memory_reserve_bytes=_whole(values, "MEMORY_RESERVE_BYTES", _GIB // 2, 0, 1 << 50),
    )


def _pool_size(values: Mapping[str, str]) -> int:
    return _whole(values, "POOL_SIZE", 1, 0, 1024)


def _one_of(
    values: Mapping[str, str], name: str, allowed: tuple[str, ...], default: str = "auto"
) -> str:
    value = values.get(name, default)
    for choice in allowed:
        if value.lower() == choice.lower():
            return choice
    raise SettingsError(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")


def _whole(values: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = values.get(name, str(default))
    if not (text.isascii() and text.isdigit() and least <= int(text[:20]) <= most):
        raise SettingsError(f"{name} must be a whole number from {least} to {most}, not {text!r}.")
    return int(text)


def _number(
    values: Mapping[str, str], name: str, default: float, least: float, most: float
) -> float:
    text = values.get(name, str(default))
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not least <= number <= most:
        raise SettingsError(f"{name} must be a number from {least} to {most}, not {text!r}.")
    return number
