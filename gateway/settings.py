"""What an operator may choose, read once from the environment and checked before anything starts.

Every bad value is a SettingsError whose sentence names the variable and what it may be. It is
given the environment as a mapping and does not know what the values are used for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe
from urllib.parse import urlsplit

from cryptography.fernet import Fernet

from gateway.keys import read_or_make
from gateway.limits import Limits, load_limits

DEFAULT_IMAGE = "opencode-gateway-agent:1.18.33"
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_SHORTEST_SECRET = 16
MOST_WORKERS = 64
_DATABASES = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}


class SettingsError(Exception):
    """The environment asks for something that can't be; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Shared:
    """Where the shared service answers; without a password it asks for none."""

    url: str
    username: str
    password: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """Keys are newest first: the first signs or encrypts, all of them verify or decrypt."""

    host: str
    port: int
    public_url: str
    state: Path
    database_url: str = field(repr=False)
    orchestrator_url: str
    service_secret: str = field(repr=False)
    shared: Shared | None
    start_timeout_s: float
    workers: int
    agent_images: tuple[str, ...]
    limits: Limits
    log_level: str
    cookie_keys: tuple[bytes, ...] = field(repr=False)
    token_keys: tuple[bytes, ...] = field(repr=False)

    @property
    def secure(self) -> bool:
        """Whether browsers come by TLS, so that cookies may be bound to it."""
        return self.public_url.startswith("https:")


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Check every value; make the keys that are missing. Raises SettingsError."""
    values = {name: value.strip() for name, value in environ.items() if value.strip()}
    state = _state(values)
    host = values.get("HOST", "127.0.0.1")
    port = _port(values, "PORT", "8000")
    return Settings(
        host=host,
        port=port,
        public_url=_url(values, "PUBLIC_URL", _own_url(host, port)),
        state=state,
        database_url=_database_url(values, state),
        orchestrator_url=_url(values, "ORCHESTRATOR_URL", _beside(values)),
        service_secret=_service_secret(values, state),
        shared=_shared(values),
        start_timeout_s=_seconds(values, "START_TIMEOUT_S", 60.0),
        workers=_workers(values),
        agent_images=_agent_images(values),
        limits=_limits(values),
        log_level=_log_level(values),
        cookie_keys=_cookie_keys(state),
        token_keys=_token_keys(state),
    )


def _state(values: Mapping[str, str]) -> Path:
    text = values.get("STATE", ".state")
    if not text.isprintable() or "?" in text:
        # The database's address is made from it, where a question mark begins the options.
        raise SettingsError(f"STATE must be a folder's name without a question mark, not {text!r}.")
    return Path(text).absolute()


def _port(values: Mapping[str, str], name: str, default: str) -> int:
    text = values.get(name, default)
    # 0 lets the system choose, which the tests need and nothing else does.
    if not (text.isascii() and text.isdigit() and int(text[:6]) <= 65535):
        raise SettingsError(f"{name} must be a port number up to 65535, not {text!r}.")
    return int(text)


def _seconds(values: Mapping[str, str], name: str, default: float) -> float:
    text = values.get(name, str(default))
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 1 <= seconds <= 3600:
        raise SettingsError(f"{name} must be a number of seconds from 1 to 3600, not {text!r}.")
    return seconds


def _workers(values: Mapping[str, str]) -> int:
    text = values.get("WORKERS", "1")
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST_WORKERS):
        raise SettingsError(
            f"WORKERS must be a whole number from 1 to {MOST_WORKERS}, not {text!r}."
        )
    return int(text[:9])


def _own_url(host: str, port: int) -> str:
    """The address a person on this machine can open: nobody can open 0.0.0.0."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104
    name = f"[{name}]" if ":" in name and not name.startswith("[") else name
    return f"http://{name}:{port}"


def _beside(values: Mapping[str, str]) -> str:
    """Where the orchestrator listens if it is started on this machine with these settings."""
    # One that takes any free port can't be known: it is told of by ORCHESTRATOR_URL.
    return f"http://127.0.0.1:{_port(values, 'ORCHESTRATOR_PORT', '8001') or 8001}"


def _url(values: Mapping[str, str], name: str, default: str) -> str:
    """An origin: whatever follows host and port would be lost, so it is refused."""
    text = values.get(name, default)
    try:
        parts = urlsplit(text)
        good = bool(parts.scheme in ("http", "https") and parts.hostname and parts.port != 0)
        good = good and "@" not in parts.netloc and parts.path in ("", "/")
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment or not text.isprintable() or " " in text:
        raise SettingsError(
            f"{name} must be an address like https://example.org:8000, "
            "without a path, a user name or a password."
        )
    return f"{parts.scheme}://{parts.netloc}"


def _database_url(values: Mapping[str, str], state: Path) -> str:
    text = values.get("DATABASE_URL", f"sqlite:///{state / 'gateway.db'}")
    scheme, mark, rest = text.partition("://")
    if not mark or scheme not in _DATABASES:
        # The value is not repeated: a database's address may hold its password.
        raise SettingsError("DATABASE_URL must begin with sqlite:/// or postgresql://.")
    if scheme.startswith("sqlite") and len(rest) < 2:
        raise SettingsError("DATABASE_URL must name a file, as in sqlite:////data/gateway.db.")
    return f"{_DATABASES[scheme]}://{rest}"


def _shared(values: Mapping[str, str]) -> Shared | None:
    password = _secret(values, "SHARED_PASSWORD")
    if "SHARED_URL" not in values:
        return None
    url = _url(values, "SHARED_URL", "")
    return Shared(url, values.get("SHARED_USERNAME", "opencode"), password)


def _agent_images(values: Mapping[str, str]) -> tuple[str, ...]:
    text = values.get("AGENT_IMAGES", DEFAULT_IMAGE)
    images = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not images or any(name.split() != [name] or not name.isprintable() for name in images):
        raise SettingsError(f"AGENT_IMAGES must be image names with commas between, not {text!r}.")
    return images


def _limits(values: Mapping[str, str]) -> Limits:
    try:
        return load_limits(values)
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _log_level(values: Mapping[str, str]) -> str:
    level = values.get("LOG_LEVEL", "INFO").upper()
    if level not in _LOG_LEVELS:
        raise SettingsError(f"LOG_LEVEL must be one of {', '.join(_LOG_LEVELS)}, not {level!r}.")
    return level


def _service_secret(values: Mapping[str, str], state: Path) -> str:
    secret = _secret(values, "SERVICE_SECRET")
    if secret is None:
        secret = _kept(state, "service.secret", lambda: token_urlsafe(32))
    if len(secret) < _SHORTEST_SECRET or not (secret.isascii() and secret.isprintable()):
        raise SettingsError(
            f"The service secret must be at least {_SHORTEST_SECRET} printable ASCII characters; "
            "set SERVICE_SECRET_FILE to a file that holds one, the same for both programs."
        )
    return secret


def _secret(values: Mapping[str, str], name: str) -> str | None:
    """Read NAME, or the file that NAME_FILE names."""
    path = values.get(f"{name}_FILE")
    if path is None:
        return values.get(name)
    if name in values:
        raise SettingsError(f"Set {name} or {name}_FILE, not both.")
    try:
        secret = Path(path).read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise SettingsError(f"{name}_FILE can't be read: {path}: {_reason(error)}.") from error
    if not secret:
        raise SettingsError(f"{name}_FILE is empty: {path}.")
    return secret


def _cookie_keys(state: Path) -> tuple[bytes, ...]:
    keys = tuple(_kept(state, "cookie.keys", lambda: token_urlsafe(32)).encode().split())
    if not keys or any(len(key) < _SHORTEST_SECRET for key in keys):
        raise SettingsError(
            f"{state / 'keys' / 'cookie.keys'} must hold one key per line, the newest first, "
            f"each of at least {_SHORTEST_SECRET} characters."
        )
    return keys


def _token_keys(state: Path) -> tuple[bytes, ...]:
    keys = tuple(
        _kept(state, "token.keys", lambda: Fernet.generate_key().decode()).encode().split()
    )
    try:
        valid = [Fernet(key) for key in keys]
    except ValueError:
        valid = []
    if not valid:
        raise SettingsError(
            f"{state / 'keys' / 'token.keys'} must hold one Fernet key per line, the newest first."
        )
    return keys


def _kept(state: Path, name: str, make: Callable[[], str]) -> str:
    path = state / "keys" / name
    try:
        return read_or_make(path, make)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"STATE needs a folder this program may write: {path}: {_reason(error)}."
        ) from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or "it isn't UTF-8 text"
