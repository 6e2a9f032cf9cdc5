"""Which fields may come behind a chunked body, and how they are announced (RFC 9110 §6.5).

Pure. A recipient may merge trailers into the headers it has already acted on, so what decides
framing, routing, trust, caching or how the content is handled passes in a header or not at all.
"""

from gateway.wire.fields import folded

_NEVER = frozenset(
    (
        # framing and the connection
        b"content-length transfer-encoding te trailer connection keep-alive upgrade host "
        b"http2-settings max-forwards expect via "
        # who is asking, and who may
        b"authorization www-authenticate authentication-info cookie set-cookie set-cookie2 "
        b"forwarded x-real-ip origin referer "
        # what to do with the answer
        b"age alt-svc cache-control clear-site-data content-disposition content-encoding "
        b"content-language content-location content-range content-security-policy "
        b"content-security-policy-report-only content-type date expires link location pragma "
        b"range refresh retry-after service-worker-allowed strict-transport-security vary "
        b"warning x-content-type-options x-frame-options"
    ).split()
)
_NEVER_BEGINNING = (
    b"proxy-",
    b"sec-",
    b"if-",
    b"access-control-",
    b"cross-origin-",
    b"x-forwarded-",
)


def passes(name: bytes, hidden: frozenset[bytes] = frozenset()) -> bool:
    """Whether a trailer of this name may travel on; `hidden` are names that no header may have."""
    taken_for = folded(name)
    return not (
        taken_for in _NEVER or taken_for in hidden or taken_for.startswith(_NEVER_BEGINNING)
    )


def announcement(values: list[bytes], hidden: frozenset[bytes]) -> bytes:
    """Return the `Trailer` line for those of the announced names that pass, or nothing."""
    names = [name for value in values for each in value.split(b",") if (name := each.strip(b" \t"))]
    kept = [name for name in names if passes(name, hidden)]
    return b"Trailer: %b\r\n" % b", ".join(kept) if kept else b""
