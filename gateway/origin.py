"""Whether a browser sends a request on behalf of another site.

Pure. A terminal over WebSocket is a remote shell and WebSockets know no CORS, so an ambient cookie
counts only from our own pages (cross-site WebSocket hijacking, CSRF).
"""

from gateway.wire.request_head import RequestHead

_SAFE = (b"GET", b"HEAD", b"OPTIONS")


def is_counted(via: str, head: RequestHead, public_authority: bytes) -> bool:
    """Whether a credential counts for this request, given how it came along.

    A browser sends the cookie by itself, and Basic as well once a person has typed it into the
    dialog that a 401 opens; then only the mode tells a page's form from its own client code, which
    always comes as `cors`. A token in a header or a query somebody put there on purpose.
    """
    if head.method in _SAFE and not head.upgrade:
        return True
    # A browser adds a kept Basic to a WebSocket's handshake as well, whoever opens it.
    if via == "cookie" or (via == "basic" and head.upgrade):
        return not _is_foreign(head, public_authority)
    if via != "basic":
        return True
    foreign = head.noted(b"sec-fetch-site") in ([b"cross-site"], [b"same-site"])
    return not (foreign and head.noted(b"sec-fetch-mode") in ([b"navigate"], [b"no-cors"]))


def _is_foreign(head: RequestHead, public_authority: bytes) -> bool:
    """Whether this says that it comes from another origin."""
    origins = head.noted(b"origin")
    if not origins:
        return head.noted(b"sec-fetch-site") not in ([], [b"same-origin"], [b"none"])
    authority = origins[0].partition(b"://")[2].lower()
    if len(origins) > 1 or not authority:
        return True
    return authority not in (head.host.lower(), public_authority)
