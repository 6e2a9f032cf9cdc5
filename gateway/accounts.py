"""Proofs and secrets: passwords, access tokens, one-time links, and agents' tokens at rest.

Pure: nothing here reads a file, a database or a request. Hashing a password takes tens of
milliseconds of one core on purpose; callers on the event loop use `verify_aside`.
"""

import hashlib
import re
import secrets
from collections.abc import Sequence

import anyio.to_thread
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from gateway.attempts import Attempts
from gateway.errors import GatewayError

_USERNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_ID = re.compile(r"[0-9a-f]{32}")
_TOKEN = re.compile(rb"[A-Za-z0-9_-]{43}")
_SHORTEST_PASSWORD = 8
_LONGEST_PASSWORD = 1024
_HASHES_WAITING = 32  # a few seconds of work; who comes later would only wait in vain
_HASHES_AT_ONCE = 2  # each holds 64 MiB and a core; more would let strangers starve the relay

_HASHER = PasswordHasher()  # argon2id, with the costs of RFC 9106's second choice


class Accounts:
    """`token_keys` are Fernet keys, newest first: the first encrypts, all of them decrypt."""

    def __init__(self, token_keys: Sequence[bytes], hasher: PasswordHasher = _HASHER) -> None:
        self.attempts = Attempts()
        self._sealer = MultiFernet([Fernet(key) for key in token_keys])
        self._hasher = hasher
        self._limiter = anyio.CapacityLimiter(_HASHES_AT_ONCE)
        # What an unknown name is checked against, so that it takes as long as a known one.
        self._decoy = self._hasher.hash(secrets.token_urlsafe(32))

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Say whether the password is right; None is an account that has none, or no account."""
        try:
            right = self._hasher.verify(password_hash or self._decoy, password)
        except (VerificationError, InvalidHashError):
            return False
        return right and password_hash is not None

    def refuse_when_busy(self) -> None:
        """Raise `too_many_attempts` when so many passwords wait that one more would in vain."""
        if self._limiter.statistics().tasks_waiting >= _HASHES_WAITING:
            raise GatewayError(
                "too_many_attempts",
                "Too many people sign in at this moment: try again shortly.",
                retry_after_s=_HASHES_WAITING * 0.1,
            )

    async def verify_aside(self, password_hash: str | None, password: str) -> bool:
        """Verify on a worker thread, a few at a time; `too_many_attempts` when many wait."""
        self.refuse_when_busy()
        return await anyio.to_thread.run_sync(
            self.verify, password_hash, password, limiter=self._limiter
        )

    def seal(self, token: str) -> bytes:
        """Encrypt an agent's token for the store."""
        return self._sealer.encrypt(token.encode())

    def unseal(self, sealed: bytes) -> str:
        try:
            return self._sealer.decrypt(sealed).decode()
        except InvalidToken as error:
            raise GatewayError(
                "token_unreadable",
                "This agent's token was encrypted with a key that is gone: enter the token again.",
            ) from error


def hash_password(password: str, hasher: PasswordHasher = _HASHER) -> str:
    return hasher.hash(checked_password(password))


def new_id() -> str:
    return secrets.token_hex(16)


def is_id(text: str) -> bool:
    """Whether this can be one of our ids; a database may refuse to look for other text."""
    return _ID.fullmatch(text) is not None


def new_token() -> str:
    """A session's access token or a one-time link's: shown once, kept as its hash."""
    return secrets.token_urlsafe(32)


def may_be_token(presented: bytes) -> bool:
    """Whether this has the form of what `new_token` makes."""
    return _TOKEN.fullmatch(presented) is not None


def hash_token(token: str) -> str:
    """256 random bits need no salt and no slow hash; SHA-256 keeps look-ups possible."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def token_hint(token: str) -> str:
    """What tells a person which token it is; of a short one even four characters are too much."""
    return f"…{token[-4:]}" if len(token) >= 8 else "…"


def checked_username(username: str) -> str:
    """Return the name as it is stored; the case in which it is typed does not matter."""
    if not _USERNAME.fullmatch(username):
        raise GatewayError(
            "invalid_request",
            "A username has 1 to 64 letters (a to z), digits or . _ @ + - "
            "and begins with a letter or a digit.",
            field="username",
        )
    return username.lower()


def checked_password(password: str) -> str:
    if not _SHORTEST_PASSWORD <= len(password) <= _LONGEST_PASSWORD:
        raise GatewayError(
            "invalid_request",
            f"A password has {_SHORTEST_PASSWORD} to {_LONGEST_PASSWORD} characters.",
            field="password",
        )
    return password
