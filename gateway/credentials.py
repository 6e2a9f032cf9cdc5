"""Cookie, Basic, Bearer or `auth_token`: who is asking, and the request without the proof.

Pure: bytes and the roster in, a `Caller` out. It knows the forms credentials come in and how to
take them out again byte for byte; it does not know where a request goes or what is answered.
"""

import hashlib
import time
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Literal
from urllib.parse import unquote_to_bytes

from itsdangerous import BadSignature, Signer

from gateway.roster import Roster, Session

Via = Literal["cookie", "basic", "bearer", "query", "ticket"]

_CACHED_COOKIES = 10_000
_LONGEST_COOKIE = 512
_LONGEST_TOKEN = 256


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking. `session_id` is None for a login that has not chosen a session yet."""

    user_id: str
    login_id: str | None
    session_id: str | None
    via: Via


@dataclass(frozen=True, slots=True)
class Presented:
    """The raw credentials of one request, each absent or as it came.

    `cookies` holds every `Cookie` field's value, `authorization` the one `Authorization` field's,
    `auth_token` the still percent-encoded query value.
    """

    cookies: tuple[bytes, ...] = ()
    authorization: bytes | None = None
    auth_token: bytes | None = None


class Cookies:
    """The cookie that names a login and its session: signed, never encrypted, never trusted alone.

    `keys` are newest first; the first signs, all verify, so a key can be retired without signing
    anybody out. The name has the `__Host-` prefix where TLS is on (RFC 6265bis §4.1.3.2), so that
    no sibling domain and no plain-HTTP page can plant one.
    """

    def __init__(self, keys: list[bytes], *, secure: bool) -> None:
        self.name = "__Host-opencode-gateway" if secure else "opencode-gateway"
        self._wire_name = self.name.encode()
        self._secure = secure
        # itsdangerous wants the signing key last, and its defaults are SHA-1 and "django-concat".
        self._signer = Signer(
            list(reversed(keys)),
            salt=b"opencode-gateway.login",
            key_derivation="hmac",
            digest_method=hashlib.sha256,
        )
        self._verified: dict[bytes, tuple[str, str | None]] = {}

    def set_header(self, login_id: str, session_id: str | None) -> str:
        """Return a whole `Set-Cookie` value naming this login and session."""
        value = self._signer.sign(f"{login_id}-{session_id or ''}").decode()
        return self._header(value)

    def clear_header(self) -> str:
        return self._header("") + "; Max-Age=0"

    def _header(self, value: str) -> str:
        jar: SimpleCookie = SimpleCookie({self.name: value})
        morsel = jar[self.name]
        morsel["path"], morsel["httponly"], morsel["samesite"] = "/", True, "Lax"
        if self._secure:
            morsel["secure"] = True
        return morsel.OutputString()

    def read(self, fields: tuple[bytes, ...]) -> tuple[str, str | None] | None:
        """Return (login id, session id) of the one valid cookie among `fields`.

        Two cookies of our name are two answers to the question who this is (cookie tossing): none
        of them is believed.
        """
        ours = [field for field in fields if self._wire_name in field]
        found = [v for f in ours for n, v in _pairs(f) if n == self._wire_name]
        return self._unsign(found[0]) if len(found) == 1 else None

    def _unsign(self, value: bytes) -> tuple[str, str | None] | None:
        known = self._verified.get(value)
        if known is not None:
            return known
        if len(value) > _LONGEST_COOKIE:
            return None
        try:
            login_id, _, session_id = self._signer.unsign(value).decode().partition("-")
        except (BadSignature, UnicodeDecodeError):
            return None
        # A signature stays valid; whether the login does is asked of the roster every time.
        if len(self._verified) >= _CACHED_COOKIES:
            self._verified.clear()
        self._verified[value] = (login_id, session_id or None)
        return login_id, session_id or None

    def strip(self, field: bytes) -> bytes:
        """Return a `Cookie` field's value without our pair; the other bytes stay as they are."""
        if self._wire_name not in field:
            return field
        kept = [part for part in field.split(b";") if _pair(part)[0] != self._wire_name]
        return b";".join(kept).strip(b" \t")

    def is_ours(self, set_cookie: bytes) -> bool:
        """Whether a `Set-Cookie` value from an upstream would replace our cookie.

        A browser takes a nameless `=name=value` for `name=value` (RFC 6265bis §5.7), and compares
        the prefix without regard to case.
        """
        name, value = _pair(set_cookie.partition(b";")[0])
        ours = self._wire_name.lower()
        return name.lower() == ours or (not name and value.lower().startswith(ours))


def identify(
    presented: Presented, cookies: Cookies, roster: Roster, now: float | None = None
) -> Caller | None:
    """Say who is asking: the cookie first, then Basic, Bearer, and OpenCode's `auth_token`."""
    return (
        _by_cookie(presented, cookies, roster, time.time() if now is None else now)
        or _by_authorization(presented.authorization, roster)
        or _by_token(basic_password(presented.auth_token), roster, "query")
    )


def _by_cookie(presented: Presented, cookies: Cookies, roster: Roster, now: float) -> Caller | None:
    named = cookies.read(presented.cookies) if presented.cookies else None
    login = roster.login(named[0]) if named else None
    if named is None or login is None or login.expires_at <= now:
        return None
    session = roster.session(named[1]) if named[1] else None
    if session is not None and session.user_id != login.user_id:
        return None
    return Caller(login.user_id, login.id, session.id if session else None, "cookie")


def _by_authorization(value: bytes | None, roster: Roster) -> Caller | None:
    if value is None:
        return None
    scheme, _, rest = value.partition(b" ")
    if scheme.lower() == b"basic":
        return _by_token(basic_password(rest.strip()), roster, "basic")
    if scheme.lower() == b"bearer":
        return _by_token(rest.strip(), roster, "bearer")
    return None


def _by_token(token: bytes | None, roster: Roster, via: Via) -> Caller | None:
    session = session_of_token(token, roster) if token else None
    return Caller(session.user_id, None, session.id, via) if session else None


def tokens(presented: Presented) -> Iterator[bytes]:
    """Yield what is presented in the place of an access token, whether it is one or not."""
    scheme, _, rest = (presented.authorization or b"").partition(b" ")
    bearer = rest.strip() if scheme.lower() == b"bearer" else None
    basic = rest.strip() if scheme.lower() == b"basic" else None
    yield from filter(None, (bearer, basic_password(basic), basic_password(presented.auth_token)))


def session_of_token(token: bytes, roster: Roster) -> Session | None:
    """Find a token's session by its hash, so that no comparison's time tells about the token."""
    if len(token) > _LONGEST_TOKEN:
        return None
    return roster.session_of_token(hashlib.sha256(token).hexdigest())


def basic_password(encoded: bytes | None) -> bytes | None:
    """Return the password of a Basic pair, which is split at its first colon (RFC 7617 §2)."""
    if not encoded or len(encoded) > 2 * _LONGEST_TOKEN:
        return None
    try:
        pair = b64decode(encoded, validate=True)
    except (Base64Error, ValueError):
        return None
    return pair.partition(b":")[2] or None


def auth_token(query: bytes) -> bytes | None:
    """Return the percent-decoded value of `auth_token` in a raw query."""
    for part in query.split(b"&"):
        if part.startswith(b"auth_token="):
            return unquote_to_bytes(part[11:])
    return None


def without_auth_token(target: bytes) -> bytes:
    """Return the target without `auth_token`: OpenCode would prefer it to the real credential.

    However the key is spelled: what another parser takes for it must not reach the container.
    """
    path, mark, query = target.partition(b"?")
    if b"%" not in query and b"auth_token" not in query.lower():
        return target
    kept = [part for part in query.split(b"&") if not _names_auth_token(part)]
    return path + mark + b"&".join(kept) if kept else path


def _names_auth_token(part: bytes) -> bool:
    keys = unquote_to_bytes(part).lower().replace(b"+", b" ").split(b";")
    return any(key.strip().partition(b"=")[0] == b"auth_token" for key in keys)


def _pairs(field: bytes) -> list[tuple[bytes, bytes]]:
    return [_pair(part) for part in field.split(b";")]


def _pair(part: bytes) -> tuple[bytes, bytes]:
    name, _, value = part.partition(b"=")
    return name.strip(b" \t"), value.strip(b" \t").strip(b'"')
