"""What the gateway knows of OpenCode's HTTP surface: which of its paths need to be treated apart.

Pure tables over method and path, read off OpenCode 1.18. Everything not named here is relayed
without being understood.
"""

import re
from urllib.parse import unquote_to_bytes

VERSION = "1.18.33"
# Asked by browsers without credentials; OpenCode itself serves them so.
_PUBLIC = frozenset(
    (b"/site.webmanifest", b"/web-app-manifest-192x192.png", b"/web-app-manifest-512x512.png")
)
HEALTH = frozenset((b"/global/health", b"/api/health"))
EVENTS = frozenset((b"/event", b"/global/event", b"/api/event"))
# What stays open or comes again and again without anybody's doing anything.
QUIET = HEALTH | EVENTS | {b"/tui/control/next"}
_CONVERSATION_EVENTS = re.compile(rb"/api/session/[^/]+/event")
# The clients send `auth_token` only where they cannot set a header.
_PTY = re.compile(rb"(?:/api)?/pty/([^/]{1,128})/(connect|connect-token)")
# Only where an API path has it: the web UI's own addresses name conversations too, behind a folder.
_BOUND = re.compile(
    rb"(?:/api)?(?:/experimental)?/[a-z]+/((?:ses|per|que|pty|wrk|job)_[^/]+)", re.IGNORECASE
)
_CREATES = re.compile(rb"(?:/api)?/session(?:/[^/]+/fork)?")
# What nobody reads on the shared service: its files and terminals are not one person's. Dot
# segments mean nothing to OpenCode, but may to a proxy before it.
_NOT_READ = re.compile(
    rb"(?:/api)?/(?:pty|find|file|fs|instance|tui|worktree)(?:/.*)?"
    rb"|/auth/.*|(?:/api)?/session/[^/]+/(?:shell|share)|.*/\.\.?(?:/.*)?",
    re.DOTALL,
)
# What may be written there is talk, and nothing else: a list of what to forbid would have to know
# every command, settings and credential path of every version, and one missed is a shell.
_TALK = {
    b"POST": re.compile(
        rb"/log|(?:/api)?/session|/permission/[^/]+/reply|/question/[^/]+/(?:reply|reject)"
        rb"|/session/[^/]+/(?:abort|fork|message|prompt_async|summarize|permissions/[^/]+)"
        rb"|/api/session/[^/]+/(?:agent|compact|interrupt|model|prompt|wait|permission"
        rb"|permission/[^/]+/reply|question/[^/]+/(?:reply|reject))"
    ),
    b"PATCH": re.compile(rb"/session/[^/]+"),
    b"DELETE": re.compile(rb"/session/[^/]+(?:/message/[^/]+)?"),
}
_READ_ONLY = (b"GET", b"HEAD", b"OPTIONS")


def is_public(method: bytes, path: bytes) -> bool:
    """Whether OpenCode answers this without a credential."""
    return method == b"OPTIONS" or (method == b"GET" and path in _PUBLIC)


def is_quiet(path: bytes) -> bool:
    """Whether a request for this path may be in flight without its container being at work."""
    path = _as_routed(path)
    return path in QUIET or _CONVERSATION_EVENTS.fullmatch(path) is not None


def is_health(path: bytes) -> bool:
    return _as_routed(path) in HEALTH


def terminal(path: bytes) -> tuple[str, str] | None:
    """Return (terminal id, `connect` or `connect-token`) for the two paths of a terminal."""
    match = _PTY.fullmatch(path)
    return (match[1].decode("latin-1"), match[2].decode()) if match else None


def bound_id(path: bytes) -> str | None:
    """Return the id in the path that exists on one upstream only, such as a conversation's."""
    match = _BOUND.match(_as_routed(path))
    return match[1].decode("latin-1") if match else None


def creates_conversation(method: bytes, path: bytes) -> bool:
    return method == b"POST" and _CREATES.fullmatch(_as_routed(path)) is not None


def allowed_on_shared(method: bytes, path: bytes) -> bool:
    """Whether a request may go to the shared service in place of a person's own container.

    Its answers are everybody's: reading and talking is what it always was for; a terminal, a
    shell, files and settings are somebody's own and stay away.
    """
    path = _as_routed(path).lower()
    if method in _READ_ONLY:
        return _NOT_READ.fullmatch(path) is None
    talk = _TALK.get(method)
    return talk is not None and talk.fullmatch(path) is not None


def _as_routed(path: bytes) -> bytes:
    """Return a path as OpenCode's router understands it, but for the case, which it ignores.

    It stops at `;`, decodes, and takes several slashes for one: a rule that looked at the bytes as
    they came would be walked around by `/pty;x`, `/%70ty` or `//pty`.
    """
    path = path.partition(b";")[0]
    if b"%" in path:
        path = unquote_to_bytes(path)
    while b"//" in path:
        path = path.replace(b"//", b"/")
    return path.rstrip(b"/") or b"/"
