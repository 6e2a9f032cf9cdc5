"""The request as an upstream is to see it: without our credentials, with its own, and who asked.

Pure: a head and an upstream in, a `Relay` out that fits every request with the same fields. Every
credential that is the gateway's (cookie pair, token) is taken out byte-exactly; forwarding headers
are ours to set, and what a client claims in them is dropped. It decides no route.
"""

from collections.abc import Callable

from gateway.credentials import Cookies
from gateway.routing import Upstream
from gateway.via import Via
from gateway.wire.door import Client, Decision, Failure, Relay
from gateway.wire.request_head import RequestHead

# Names with an underscore are folded to these before they are compared.
_NEVER_FORWARDED = frozenset(
    (
        b"authorization forwarded x-forwarded-for x-forwarded-host x-forwarded-proto "
        b"x-forwarded-port x-forwarded-prefix x-real-ip"
    ).split()
)
# Ours alone to say; and what would wipe the cookies and caches of the whole origin.
_HIDDEN = frozenset((b"x-opencode-gateway-route", b"clear-site-data"))
_WITH_COOKIE = _NEVER_FORWARDED | {b"cookie"}


class Forwarding:
    """`proto` is the scheme that browsers use, which is not ours where TLS ends before us."""

    def __init__(self, cookies: Cookies, proto: bytes, via: Via) -> None:
        self._cookies = cookies
        self._proto = proto
        self._via = via

    def relay(
        self,
        head: RequestHead,
        client: Client,
        upstream: Upstream,
        *,
        mark: bytes,
        held_under: tuple[str, ...],
        otherwise: Callable[[RequestHead, Client, Failure], Decision],
    ) -> Relay:
        added = self._added(head, client, upstream)
        without = _NEVER_FORWARDED
        fields = head.noted(b"cookie")
        if fields:
            kept = [stripped for field in fields if (stripped := self._cookies.strip(field))]
            if kept != fields:
                without = _WITH_COOKIE
                added += b"".join(b"Cookie: %b\r\n" % field for field in kept)
        return Relay(
            pool=upstream.pool,
            without=without,
            added=added,
            mark=mark,
            held_under=held_under,
            refuse_cookie=self._cookies.is_ours,
            otherwise=otherwise,
            hidden=_HIDDEN,
        )

    def _added(self, head: RequestHead, client: Client, upstream: Upstream) -> bytes:
        credential = upstream.authorization
        return b"%bX-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\n%b" % (
            b"Authorization: %b\r\n" % credential if credential else b"",
            client.host.encode(),
            self._proto,
            head.host,
            self._via.line(head.minor),
        )
