"""Whether a browser sends a request on behalf of another site.

Pure. A terminal over WebSocket is a remote shell and WebSockets know no CORS, so an ambient cookie
counts only from our own pages (cross-site WebSocket hijacking, CSRF).
"""

from gateway.wire.head import RequestHead

_SAFE = (b"GET", b"HEAD", b"OPTIONS")


def is_foreign(head: RequestHead, public_authority: bytes) -> bool:
    """Whether this acts (writes, or upgrades) and says that it comes from another origin."""
    if head.method in _SAFE and not head.upgrade:
        return False
    origins = head.noted(b"origin")
    if not origins:
        return head.noted(b"sec-fetch-site") not in ([], [b"same-origin"], [b"none"])
    authority = origins[0].partition(b"://")[2].lower()
    if len(origins) > 1 or not authority:
        return True
    return authority not in (head.host.lower(), public_authority)
