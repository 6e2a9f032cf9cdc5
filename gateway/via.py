"""Whether a request has come through this gateway before (RFC 9110 §7.6.3).

Pure. Each request to an upstream says in `Via` that it went through here; one that comes back with
that word runs in a circle, as it does when SHARED_URL leads to the gateway itself. Responses get no
`Via`: it would tell clients nothing that `X-OpenCode-Gateway-Route` does not, and some servers and
caches compress less for who sends one.
"""

import hashlib
import hmac
from collections.abc import Sequence

from gateway.wire.fields import Fields


class Via:
    """`cookie_keys` are what all workers of one deployment share, and no other deployment has."""

    def __init__(self, cookie_keys: Sequence[bytes]) -> None:
        digest = hmac.new(cookie_keys[0], b"via", hashlib.sha256).hexdigest()
        self._pseudonym = b"opencode-gateway-" + digest[:12].encode()
        self._lines = [b"Via: 1.%d %b\r\n" % (minor, self._pseudonym) for minor in (0, 1)]

    def line(self, minor: int) -> bytes:
        """Return what is said to an upstream of a request that came by HTTP/1.`minor`."""
        return self._lines[minor]

    def has_passed(self, fields: Fields) -> bool:
        # One gateway may be named within a list, with a comment behind it.
        return any(self._pseudonym in value for value in fields.noted(b"via"))
